//go:build integration

package integration

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var examples = flag.Int("examples", 10, "requests that schemathesis makes up for each operation")

// TestDocument sends requests made up from openapi.yaml: no server errors, and no answer that the document does not allow. The callers are
// everyone, and where users and tokens are required an admin, a viewer and a caller without credentials. Streams are left out, because they
// do not end; the api package's tests have them.
func TestDocument(t *testing.T) {
	suite := fetched(t, "schemathesis/bin/schemathesis")
	brokers := startKfake(t)
	traffic := startTraffic(t, brokers, topic, 100)
	for _, as := range []string{"", "admin", "viewer", "no credential"} {
		t.Run(""+cmp.Or(as, "everyone"), func(t *testing.T) {
			a := newApp(t, brokers, "WATCHINGCAT_RULE_FILES="+alwaysFiring(t), "WATCHINGCAT_LOG_LEVEL=warn")
			if as != "" {
				a.env = append(a.env, "WATCHINGCAT_AUTH_ENABLED=true", "WATCHINGCAT_AUTH_JWT_SECRET="+documentSecret)
			}
			a.start()
			a.ready()
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
			defer cancel()
			url := "http://" + a.addr
			// one worker: two make Python's parser fail now and then
			args := []string{"run", url + "/api/openapi.yaml", "--url", url, "--exclude-path-regex", "^/(ws|api/v1/logs/tail|api/v1/live)",
				"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance",
				"--max-examples", strconv.Itoa(*examples), "--seed", fmt.Sprint(*seed), "--continue-on-failure", "--no-color", "--workers",
				"1", "--request-timeout", "90"}
			if as == "admin" || as == "viewer" {
				args = append(args, "--header", "Authorization: Bearer "+credential(t, as))
			}
			cmd := exec.CommandContext(ctx, suite, args...)
			cmd.Dir = t.TempDir()
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out[max(0, len(out)-6000):])
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	traffic.stop(t)
}

const documentSecret = "0123456789abcdef0123456789abcdef"

// credential is a JSON Web Token of a role: no request can revoke it, as it can an API token or a user.
func credential(t *testing.T, role string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256,
		jwt.MapClaims{"iss": "watchingcat", "aud": "watchingcat", "sub": "schemathesis", "role": role,
			"exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(documentSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
