package s3

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLocations: a location names bucket, prefix, endpoint and region; mistakes and credentials are refused, and not repeated.
func TestLocations(t *testing.T) {
	l, err := parse("s3://bucket/a/b/?endpoint=http://127.0.0.1:9000&region=eu-1&path_style=false")
	require.NoError(t, err)
	no := false
	require.Equal(t, location{"bucket", "a/b/", "http://127.0.0.1:9000", "eu-1", &no}, l)
	l, err = parse("s3://bucket")
	require.NoError(t, err)
	require.Equal(t, location{bucket: "bucket"}, l)
	for _, text := range []string{"", "s3://", "http://bucket", "s3://id:verysecret@bucket", "s3://bucket?endpoint=minio:9000",
		"s3://bucket?endpoint=http://id:verysecret@minio", "s3://bucket?path_style=maybe", "s3://bucket?key=verysecret", "s3://%zz"} {
		err := Check(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "verysecret")
	}
}

// TestNoCredentials: without credentials the error says which to set.
func TestNoCredentials(t *testing.T) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": ""} {
		t.Setenv(name, value)
	}
	_, err := Open(t.Context(), "s3://bucket", http.DefaultTransport.(*http.Transport))
	require.ErrorContains(t, err, "set AWS_ACCESS_KEY_ID")
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"s3://bucket/a?endpoint=http://x&region=y", "s3://b?path_style=1", "s3://[::1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := parse(text); err == nil && l.bucket == "" {
			t.Errorf("%q names no bucket", text)
		}
	})
}
