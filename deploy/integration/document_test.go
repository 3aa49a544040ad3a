//go:build integration

package integration

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

var examples = flag.Int("examples", 10, "requests that schemathesis makes up for each operation")

// TestDocument lets schemathesis make up requests from /api/openapi.yaml, good ones and bad ones: no answer is a server error, and each has
// a status, type and body that the document names. What goes on for long (the WebSocket, event streams) is left out.
func TestDocument(t *testing.T) {
	suite := fetched(t, "schemathesis/bin/schemathesis")
	a := newApp(t, startKfake(t), "WATCHINGCAT_RULE_FILES="+alwaysFiring(t), "WATCHINGCAT_LOG_LEVEL=warn")
	traffic := startTraffic(t, a.brokers, topic, 100)
	a.start()
	a.ready(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
	defer cancel()
	url := "http://" + a.addr
	cmd := exec.CommandContext(ctx, suite, "run", url+"/api/openapi.yaml", "--url", url, "--exclude-path-regex", "^/(ws|api/v1/logs/tail|api/v1/live)",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance",
		"--max-examples", strconv.Itoa(*examples), "--seed", fmt.Sprint(*seed), "--continue-on-failure", "--no-color", "--workers", "2", "--request-timeout", "90")
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out[max(0, len(out)-6000):])
	if err != nil {
		t.Fatal(err)
	}
	traffic.stop(t)
}
