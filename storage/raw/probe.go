package raw

import (
	"context"
	"io"
	"net/http"
	"strings"
)

// probes are what each store answers quickly.
var probes = map[string]string{"jaeger": "api/services", "prometheus": "api/v1/query?query=1", "elasticsearch": ""}

// Probe asks the store for something small once, whatever its breaker says, and returns why it did not answer.
func (b *Backend) Probe(ctx context.Context) error {
	path, query, _ := strings.Cut(probes[b.name], "?")
	u := b.base.JoinPath(path)
	u.User, u.RawQuery = nil, query
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return err
	}
	if user := b.base.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	begin, err := io.ReadAll(io.LimitReader(resp.Body, 300))
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return &statusError{resp.StatusCode, excerpt(begin)}
	}
	return nil
}
