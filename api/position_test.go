package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/rest"
)

func TestMinPositionIsThereAlready(t *testing.T) {
	b := newBench(t)
	b.record("1s 1ms cart server GET id=t1/a")
	b.commit()
	require.Equal(t, http.StatusOK, b.get("/api/v1/services?min_position=otlp_spans/0/0").Code)
}

func TestMinPositionWaitsForTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.record("1s 1ms cart server GET id=t1/a")
		b.commit()
		answered := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			answered <- b.get("/api/v1/services/pay?min_position=otlp_spans/0/0,otlp_spans/0/2&timeout=10s")
		}()
		for range 2 {
			synctest.Wait()
			require.Empty(t, answered, "answered before the record was committed")
			b.record("2s 1ms pay server GET id=t2/a")
			synctest.Wait()
			require.Empty(t, answered, "applied is not committed")
			b.commit()
		}
		require.Equal(t, http.StatusOK, (<-answered).Code)
	})
}

func TestMinPositionTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := func(query string, want time.Duration, detail string) {
			t.Helper()
			began := time.Now() // the bubble's clock, so this is exact
			w := b.get("/api/v1/services?min_position=otlp_spans/0/0" + query)
			require.Equal(t, want, time.Since(began))
			require.Equal(t, http.StatusGatewayTimeout, w.Code)
			require.Contains(t, w.Body.String(), `"code":"position_timeout"`)
			require.Contains(t, w.Body.String(), detail)
		}
		f("", 5*time.Second, "the views do not hold otlp_spans/0/0 after 5s")
		f("&timeout=250ms", 250*time.Millisecond, "250ms")
		f("&timeout=1500", 1500*time.Microsecond, "1.5ms")
		f(",other/3/9&timeout=1s", time.Second, "otlp_spans/0/0")
	})
}

func TestDefaultRangeFollowsWhatIsKnown(t *testing.T) {
	b := newBench(t)
	b.record("100s 1ms cart server GET id=t1/a")
	b.commit()
	b.now = at(5 * time.Hour)
	require.Contains(t, b.get("/api/v1/services").Body.String(), `"name":"cart"`,
		"reading lags 5 h behind: the last 15 min of what was read")
	b.views("commit idle=4h59m58s\n")
	require.Contains(t, b.get("/api/v1/services").Body.String(), `"services":[]`, "there was nothing for 5 h, and that is known")
}

func TestAnswersBeyondRetentionArePartial(t *testing.T) {
	b := newBench(t)
	f := func(query string, partial bool) {
		t.Helper()
		var answer struct{ Meta rest.Meta }
		require.NoError(t, json.Unmarshal(b.get("/api/v1/services?"+query).Body.Bytes(), &answer))
		require.Equal(t, partial, answer.Meta.Partial, "%s: %q", query, answer.Meta.Warnings)
		require.Equal(t, partial, len(answer.Meta.Warnings) > 0)
	}
	b.views("36000s 1ms cart server GET id=t1/a\ncommit\n36010s 1ms cart server GET id=t2/a\ncommit\n")
	f("start=0", false) // young: there was nothing before
	b.views("60000h 1ms cart server GET id=t3/a\ncommit\n60001h 1ms cart server GET id=t4/a\ncommit\n")
	f("start=0", true)
	f("start=215990000", false)
	f("", false)
}

func TestServiceNamesMayHoldAnything(t *testing.T) {
	b := newBench(t)
	for i, name := range []string{"team/cart", "50%", "a+b", "ünï", "semi;colon", "quote'", "..", "a?b=c"} {
		b.record(fmt.Sprintf("1s 1ms %s server GET id=t%d/a", name, i))
		b.commit()
		for _, path := range []string{"", "/operations", "/metrics"} {
			w := b.get("/api/v1/services/" + url.PathEscape(name) + path)
			require.Equal(t, http.StatusOK, w.Code, "%s%s: %s", name, path, w.Body)
		}
	}
}
