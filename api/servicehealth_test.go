package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkServiceHealth reads the health of 500 services, as a live view does four times a second, and their trends over 15 minutes, as
// a page does each 20 s; each time spans of every service have come since.
func BenchmarkServiceHealth(b *testing.B) {
	for _, name := range []string{"health", "trends"} {
		path := "/api/v1/service" + name
		b.Run(name, func(b *testing.B) {
			s := newBench(b)
			n := 0
			spans := func(at time.Duration) {
				lines := make([]string, 0, 1500)
				for i := range 500 {
					for _, op := range []string{"GET", "POST", "PUT"} {
						n++
						lines = append(lines, fmt.Sprintf("%v %dms svc-%03d server %s id=t%d/a", at, 1+n%200, i, op, n))
					}
				}
				s.record(lines...)
				s.commit()
			}
			at := time.Duration(0)
			for ; at < 80*time.Minute; at += 10 * time.Second {
				spans(at)
			}
			s.get(path)
			for b.Loop() {
				b.StopTimer()
				at += 250 * time.Millisecond
				spans(at)
				b.StartTimer()
				require.Equal(b, http.StatusOK, s.get(path).Code)
			}
		})
	}
}

// TestServiceHealthKeepsItsBaseline holds that the range does not change what a service is compared with.
func TestServiceHealthKeepsItsBaseline(t *testing.T) {
	b := newBench(t)
	var lines []string
	for i := range 40 * 60 {
		status := ""
		if i > 39*60 && i%2 == 0 {
			status = " error"
		}
		lines = append(lines, fmt.Sprintf("%ds 5ms pay server Charge id=t%d/a%s", 10+i, i, status))
	}
	b.record(lines...)
	b.commit()
	for _, q := range []string{"", "?start=2000", "?start=0"} {
		var got struct {
			Services []struct{ Health, Reason string }
			Baseline struct{ Start time.Time }
		}
		require.NoError(t, json.Unmarshal(b.get("/api/v1/servicehealth"+q).Body.Bytes(), &got))
		require.Equal(t, "failing", got.Services[0].Health, q)
		require.Regexp(t, `^fails (4|5)\d(\.\d)? % of its calls, 0 % before$`, got.Services[0].Reason, q)
		require.Equal(t, time.Unix(10, 0).UTC(), got.Baseline.Start, q)
	}
}
