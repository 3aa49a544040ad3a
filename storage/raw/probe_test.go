package raw

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestProbe(t *testing.T) {
	status := http.StatusOK
	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		asked = r.URL.String() + " " + user + ":" + password
		w.WriteHeader(status)
		_, _ = w.Write([]byte("no access"))
	}))
	b, err := open("prometheus", strings.Replace(srv.URL, "://", "://ann:pw@", 1)+"/prom", Options{Metrics: NewMetrics(prometheus.NewRegistry(), nil)})
	require.NoError(t, err)
	require.NoError(t, b.Probe(t.Context()))
	require.Equal(t, "/prom/api/v1/query?query=1 ann:pw", asked)
	status = http.StatusUnauthorized
	require.EqualError(t, b.Probe(t.Context()), "401 Unauthorized no access")
	srv.Close()
	err = b.Probe(t.Context())
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "pw")
}
