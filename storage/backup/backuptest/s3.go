// Package backuptest has a store with S3's API for tests.
package backuptest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// S3 is a server with one bucket, named "bucket", in memory.
type S3 struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string][]byte
	// Fail is asked before each request: what it returns is answered (0: the request is served). It may cut an answer by -1.
	Fail func(method, key string) int
	// Put is called after each object is written; nil: nothing is.
	Put func(key string)
}

// listed is how many keys a page of a list has.
const listed = 3

// NewS3 starts the server, and sets credentials in the environment.
func NewS3(t *testing.T) *S3 {
	t.Helper()
	s := &S3{objects: map[string][]byte{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "verysecret",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"} {
		t.Setenv(name, value)
	}
	return s
}

// Location is the URL of a prefix of the bucket.
func (s *S3) Location(prefix string) string { return "s3://bucket/" + prefix + "?endpoint=" + s.URL }

// Keys are the names of all objects.
func (s *S3) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

// Change replaces an object.
func (s *S3) Change(key string, change func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = change(s.objects[key])
}

// ServeHTTP implements http.Handler.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if bucket != "bucket" || !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIDTEST/") {
		problem(w, http.StatusForbidden, "AccessDenied")
		return
	}
	cut := false
	s.mu.Lock()
	fail := s.Fail
	s.mu.Unlock()
	if fail != nil {
		switch code := fail(r.Method, key); {
		case code < 0:
			cut = true
		case code > 0:
			problem(w, code, "SlowDown")
			return
		}
	}
	sum := sha256.Sum256(body)
	switch {
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]):
		problem(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch")
	case r.Method == http.MethodPut:
		s.put(key, body)
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		delete(s.objects, key)
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case key == "" && r.URL.Query().Get("list-type") == "2":
		s.list(w, r)
	default:
		s.get(w, key, cut)
	}
}

// FailWith sets Fail while requests come.
func (s *S3) FailWith(f func(method, key string) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Fail = f
}

func (s *S3) put(key string, body []byte) {
	s.mu.Lock()
	s.objects[key] = body
	s.mu.Unlock()
	if s.Put != nil {
		s.Put(key)
	}
}

func (s *S3) get(w http.ResponseWriter, key string, cut bool) {
	s.mu.Lock()
	b, ok := s.objects[key]
	s.mu.Unlock()
	if !ok {
		problem(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	if cut {
		_, _ = w.Write(b[:len(b)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(b)
}

func (s *S3) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	type content struct {
		Key          string
		Size         int
		LastModified string
	}
	var out struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
	}
	after := cmp.Or(q.Get("continuation-token"), q.Get("start-after"))
	for _, key := range s.Keys() {
		if !strings.HasPrefix(key, q.Get("prefix")) || key <= after {
			continue
		}
		if len(out.Contents) == listed {
			out.IsTruncated, out.NextContinuationToken = true, out.Contents[listed-1].Key
			break
		}
		s.mu.Lock()
		out.Contents = append(out.Contents, content{key, len(s.objects[key]), "2026-11-01T00:00:00Z"})
		s.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out)
}

func problem(w http.ResponseWriter, code int, name string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(code)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", name, name)
}
