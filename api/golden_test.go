package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/notify"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/views/model"
)

var update = flag.Bool("update", false, "write what is answered into testdata")

// TestGolden answers the requests of testdata/*.txtar. An archive holds "views" (span lines; a blank line ends a record, commit
// and commit idle=DUR make a checkpoint, now=DUR moves the clock), perhaps "metrics" (lines of time, name and value) and
// "rules.yml", and answers named by their requests: method, target and perhaps a body. With "auth" it is asked who one is, and a request
// may end with "as viewer", "as editor", "as admin" or "as stranger", whose token is not valid. With "alertmanager.yml" there is an
// Alertmanager; what it takes from the clock and from chance is not in the answers, and ID stands for the last id that it gave. TOKEN is
// the last groupNextToken.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			require.NoError(t, err)
			b := newBench(t)
			if slices.ContainsFunc(a.Files, func(f txtar.File) bool { return f.Name == "metrics" }) {
				b = newMetricsBench(t)
			}
			if slices.ContainsFunc(a.Files, func(f txtar.File) bool { return f.Name == "auth" }) {
				b = newAuthBench(t)
			}
			if i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "alertmanager.yml" }); i >= 0 {
				b = newAlertmanagerBench(t, string(a.Files[i].Data))
			}
			for i, f := range a.Files {
				method, target, isRequest := strings.Cut(f.Name, " ")
				switch {
				case f.Name == "auth", f.Name == "alertmanager.yml":
				case f.Name == "views":
					b.views(string(f.Data))
				case f.Name == "metrics":
					b.gauges(string(f.Data))
				case f.Name == "rules.yml":
					b.rules(string(f.Data))
				case f.Name == "pipeline":
					b.pipeline(string(f.Data))
				case isRequest:
					got := b.answer(method, target)
					if *update {
						a.Files[i].Data = []byte(got)
						continue
					}
					require.Equal(t, string(f.Data), got, "%s; -update rewrites it", f.Name)
				default:
					t.Fatalf("unknown file %q", f.Name)
				}
			}
			if *update {
				require.NoError(t, os.WriteFile(file, txtar.Format(a), 0o600))
			}
		})
	}
}

// views runs the script of an archive.
func (b *bench) views(script string) {
	var lines []string
	flush := func() {
		if len(lines) > 0 {
			b.record(lines...)
		}
		lines = nil
	}
	for line := range strings.SplitSeq(script, "\n") {
		switch f := strings.Fields(line); {
		case len(f) == 0:
			flush()
		case f[0] == "commit":
			flush()
			var marks []model.Mark
			if len(f) > 1 {
				marks = []model.Mark{{Topic: "otlp_spans", Watermark: at(b.dur(f[1], "idle="))}}
			}
			b.commit(marks...)
		case strings.HasPrefix(line, "now="):
			b.now = at(b.dur(line, "now="))
		default:
			lines = append(lines, line)
		}
	}
	flush()
}

func (b *bench) dur(word, prefix string) time.Duration {
	d, err := time.ParseDuration(strings.TrimPrefix(word, prefix))
	require.NoError(b.t, err)
	return d
}

// pipeline sets the state of partition 0: "end=N watermark=DUR", or an error.
func (b *bench) pipeline(text string) {
	p := progress.Partition{Topic: "otlp_spans", Position: int64(len(b.script.Topic[0])), End: int64(len(b.script.Topic[0])), Idle: true}
	for f := range strings.FieldsSeq(text) {
		switch name, v, _ := strings.Cut(f, "="); name {
		case "end":
			_, err := fmt.Sscan(v, &p.End)
			require.NoError(b.t, err)
			p.Lag, p.Idle = p.End-p.Position, false
		case "watermark":
			p.Watermark = at(b.dur(v, ""))
		case "error":
			p.Err = fmt.Errorf("broker: %s", v)
		case "truncated":
			b.pipe.truncated = []progress.Gap{{Topic: "otlp_spans", From: 3, To: 7, Found: at(time.Second)}}
		case "checkpoint":
			b.pipe.checkpoint = progress.Checkpoint{At: at(b.dur(v, "")), Entries: 12, Bytes: 3456}
		case "behind":
			b.pipe.behind = true
		}
	}
	b.pipe.partitions = []progress.Partition{p}
}

// answer is a status line and indented JSON; the document must allow it.
func (b *bench) answer(method, target string) string {
	b.t.Helper()
	var headers []string
	if m := asWhom.FindStringSubmatch(target); m != nil {
		target = strings.TrimSuffix(target, m[0])
		headers = append(headers, "Authorization: Bearer "+b.as(m[1]))
	}
	target, body, hasBody := strings.Cut(target, " ")
	target = strings.NewReplacer("/ID", "/"+b.lastID, "TOKEN", b.lastToken).Replace(target)
	if hasBody && (body[:1] == "{" || body[:1] == "[") { // else a form
		headers = append(headers, "Content-Type: application/json")
	}
	w := b.do(method, target, body, headers...)
	b.conforms(method, target, w)
	var out bytes.Buffer
	if w.Code == http.StatusNoContent {
		return fmt.Sprintf("%d\n", w.Code)
	}
	fmt.Fprintf(&out, "%d %s\n", w.Code, w.Header().Get("Content-Type"))
	for _, h := range w.Header().Values("WWW-Authenticate") {
		fmt.Fprintf(&out, "WWW-Authenticate: %s\n", h)
	}
	if id := amID.FindString(w.Body.String()); id != "" {
		b.lastID = id
	}
	if m := nextToken.FindStringSubmatch(w.Body.String()); m != nil {
		b.lastToken = m[1]
	}
	// groups are made of alerts beside requests
	if b.alertmanager && method == http.MethodPost && target == "/alertmanager/api/v2/alerts" && w.Code == http.StatusOK {
		require.Eventually(b.t, func() bool {
			return strings.Contains(b.get("/alertmanager/api/v2/alerts/groups").Body.String(), "Slow")
		}, 2*time.Minute, time.Millisecond)
	}
	if !strings.Contains(w.Header().Get("Content-Type"), "json") || w.Body.Len() == 0 {
		return out.String() + strings.TrimSuffix(w.Body.String(), "\n") + "\n"
	}
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.UseNumber()
	var got any
	require.NoError(b.t, dec.Decode(&got), "%s", w.Body)
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	require.NoError(b.t, enc.Encode(got))
	text := evalTime.ReplaceAllString(lastEval.ReplaceAllString(out.String(), `"${1}": "the wall clock"`),
		`"evaluationTime": "the wall clock"`)
	text = goVersion.ReplaceAllString(text, `"goVersion": "of this build"`)
	if b.alertmanager {
		text = amID.ReplaceAllString(amClock.ReplaceAllString(text, `"${1}": "the wall clock"`), "ID")
		text = amVersion.ReplaceAllString(text, `"${1}": "of this build"`)
	}
	return text
}

var asWhom = regexp.MustCompile(` as (viewer|editor|admin|stranger)$`)

// as is a token of a role; strangers have none that is valid.
func (b *bench) as(who string) string {
	if role, err := auth.ParseRole(who); err == nil {
		return b.token(role)
	}
	return "wc_0123456789abcdef_of_a_stranger"
}

// nextToken is that of Prometheus' rules.
var nextToken = regexp.MustCompile(`"groupNextToken":"([^"]*)"`)

// lastEval is what Prometheus' rules take from the clock.
var (
	lastEval  = regexp.MustCompile(`"(last_eval|lastEvaluation)": "[^"]*"`)
	evalTime  = regexp.MustCompile(`"evaluationTime": [0-9.e-]+`)
	goVersion = regexp.MustCompile(`"goVersion": "[^"]*"`)
)

// What Alertmanager takes from the clock, from chance and from its build.
var (
	amClock   = regexp.MustCompile(`"(updatedAt|endsAt|startsAt|uptime)": "[^"]*"`)
	amID      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	amVersion = regexp.MustCompile(`"(branch|buildDate|buildUser|goVersion|revision|version)": "[^"]*"`)
)

// newAlertmanagerBench has a real Alertmanager behind its API.
func newAlertmanagerBench(t testing.TB, config string, change ...func(*Config)) *bench {
	am, err := notify.ParseConfig(config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var n *notify.Notifier
	b := newBench(t, append(change, func(c *Config) {
		n, err = notify.New(ctx, notify.Config{KV: c.Store, Alerts: c.Alerts.(*rules.Evaluator), Alertmanager: am}, time.Now())
		require.NoError(t, err)
		c.Alertmanager, c.Notifications = n.API(), n
	})...)
	t.Cleanup(func() { cancel(); n.Close() })
	b.alertmanager = true
	return b
}

// conforms holds an answer against openapi.yaml.
func (b *bench) conforms(method, target string, w *httptest.ResponseRecorder) {
	b.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	ctx := chi.NewRouteContext()
	if !b.s.handler.(chi.Routes).Match(ctx, method, cmp.Or(r.URL.RawPath, r.URL.Path)) {
		require.Contains(b.t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, w.Code)
		return
	}
	path := caller.Documented(ctx.RoutePattern())
	item := b.s.doc.Paths.Value(path)
	require.NotNil(b.t, item, path)
	in := &openapi3filter.RequestValidationInput{Request: r,
		Route: &routers.Route{Spec: b.s.doc, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)}}
	err := openapi3filter.ValidateResponse(b.t.Context(), (&openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: w.Code, Header: w.Header(), Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}).SetBodyBytes(w.Body.Bytes()))
	require.NoError(b.t, err, "%s %s", method, target)
}
