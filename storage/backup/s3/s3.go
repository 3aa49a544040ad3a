// Package s3 keeps backups in a bucket of S3, or of a store with S3's API.
//
// It is the AWS SDK because that is in the program already, for SASL AWS_MSK_IAM, with the same chain of credentials. A backup's files are
// small enough to be sent by one request each, so no upload in parts can be left unfinished.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"github.com/gaurav/watchingcat/storage/backup"
)

// Scheme begins the URLs of this store.
const Scheme = "s3://"

// attempts is how often a request is sent.
const attempts = 5

// credentialsTimeout bounds how long credentials are looked for.
const credentialsTimeout = 15 * time.Second

// answerTimeout bounds the time until a request is answered, without the answer's body.
const answerTimeout = 2 * time.Minute

type store struct {
	client         *s3.Client
	bucket, prefix string
	name           string
}

// location is a URL s3://bucket/prefix?endpoint=URL&region=NAME&path_style=BOOL.
type location struct {
	bucket, prefix, endpoint, region string
	pathStyle                        *bool
}

func parse(text string) (l location, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return l, errors.New("the location is not s3://bucket/prefix")
	}
	if u.User != nil {
		return l, errors.New("the location of a backup holds credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
	}
	l.bucket = u.Host
	if l.prefix = strings.Trim(u.Path, "/"); l.prefix != "" {
		l.prefix += "/"
	}
	q := u.Query()
	for name := range q {
		if !slices.Contains([]string{"endpoint", "region", "path_style"}, name) {
			return l, fmt.Errorf("the location of a backup has a parameter %q: endpoint, region and path_style are known", name)
		}
	}
	l.endpoint, l.region = q.Get("endpoint"), q.Get("region")
	if l.endpoint != "" {
		e, err := url.Parse(l.endpoint)
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil {
			return l, errors.New("the parameter endpoint of the location of a backup is not an http or https URL without credentials")
		}
	}
	if v := q.Get("path_style"); v != "" {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return l, fmt.Errorf("path_style of the location of a backup: %q is neither true nor false", v)
		}
		l.pathStyle = &b
	}
	return l, nil
}

// Check returns an error for a URL that names no store.
func Check(text string) error {
	_, err := parse(text)
	return err
}

// Open returns the store of a URL. Credentials and, where the URL does not name them, region and endpoint come from the default chain of
// AWS: variables (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_S3 and others), files, container, instance. transport says which CAs are
// trusted.
func Open(ctx context.Context, text string, transport *http.Transport) (backup.Store, error) {
	l, err := parse(text)
	if err != nil {
		return nil, err
	}
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = answerTimeout
		if c := transport.TLSClientConfig; c != nil {
			t.TLSClientConfig = c.Clone()
		}
	})
	opts := []func(*config.LoadOptions) error{config.WithRetryMaxAttempts(attempts), config.WithHTTPClient(client),
		config.WithLogger(logging.Nop{})} // it would write to stderr
	if l.region != "" {
		opts = append(opts, config.WithRegion(l.region))
	}
	c, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("settings of AWS: %w", err)
	}
	asked, cancel := context.WithTimeout(ctx, credentialsTimeout)
	defer cancel()
	if _, err := c.Credentials.Retrieve(asked); err != nil {
		return nil, fmt.Errorf("there are no credentials for %s%s: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or another part of AWS' default chain (%w)",
			Scheme, l.bucket, err)
	}
	if c.Region == "" {
		c.Region = "us-east-1" // stores other than AWS' have none
	}
	api := s3.NewFromConfig(c, func(o *s3.Options) {
		if l.endpoint != "" {
			o.BaseEndpoint = &l.endpoint
		}
		o.UsePathStyle = o.BaseEndpoint != nil || c.BaseEndpoint != nil // a bucket is rarely a host name of a store of one's own
		if l.pathStyle != nil {
			o.UsePathStyle = *l.pathStyle
		}
		// Files have checksums of their own, and other stores do not know all that the SDK would send.
		o.RequestChecksumCalculation, o.ResponseChecksumValidation = aws.RequestChecksumCalculationWhenRequired,
			aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	return &store{client: api, bucket: l.bucket, prefix: l.prefix, name: Scheme + l.bucket + "/" + l.prefix}, nil
}

func (s *store) String() string { return s.name }

func (s *store) key(name string) *string { return aws.String(s.prefix + name) }

func (s *store) Put(ctx context.Context, name string, b []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: s.key(name), Body: bytes.NewReader(b),
		ContentLength: aws.Int64(int64(len(b)))})
	return err
}

func (s *store) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(name)})
	if _, ok := errors.AsType[*types.NoSuchKey](err); ok {
		return nil, fmt.Errorf("%w: %s%s", backup.ErrNoFile, s, name)
	}
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

func (s *store) List(ctx context.Context, prefix string) ([]backup.Object, error) {
	var list []backup.Object
	p := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.key(prefix)})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			list = append(list, backup.Object{Name: strings.TrimPrefix(aws.ToString(o.Key), s.prefix), Bytes: aws.ToInt64(o.Size),
				Modified: aws.ToTime(o.LastModified)})
		}
	}
	return list, nil
}

func (s *store) Delete(ctx context.Context, name string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(name)})
	return err
}
