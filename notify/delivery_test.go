package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fates are "service receiver state" of all alerts that fire.
func (w *world) fates() []string {
	w.t.Helper()
	all, err := w.n.Deliveries(context.Background(), time.Now())
	require.NoError(w.t, err)
	var out []string
	for _, a := range w.n.cfg.Alerts.Notified() {
		for _, d := range all[LabelSet(a.Labels).Fingerprint()] {
			out = append(out, fmt.Sprintf("%s %s %s %s", a.Labels.Get("service_name"), d.Receiver, d.State, strings.Join(d.By, ",")))
		}
	}
	slices.Sort(out)
	return out
}

func (w *world) silence(service string) string {
	w.t.Helper()
	body := fmt.Sprintf(`{"matchers":[{"name":"service_name","value":%q,"isRegex":false,"isEqual":true}],"startsAt":%q,"endsAt":%q,"createdBy":"me","comment":"known"}`,
		service, time.Now().Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339))
	req := httptest.NewRequest("POST", "/api/v2/silences", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	res := httptest.NewRecorder()
	w.n.API().ServeHTTP(res, req)
	var answer struct{ SilenceID string }
	require.NoError(w.t, json.Unmarshal(res.Body.Bytes(), &answer), res.Body)
	return answer.SilenceID
}

func TestEachAlertSaysWhatBecameOfIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		am := strings.ReplaceAll(config(b,
			`, routes: [{matchers: [service_name="late"], receiver: pager, group_wait: 1h}, {matchers: [service_name="tea"], receiver: web, mute_time_intervals: [always]}]`), "group_interval: 100ms", "group_interval: 1h") +
			"inhibit_rules: [{source_matchers: ['service_name=\"db\"'], target_matchers: ['service_name=\"cart\"'], equal: [severity]}]\n" +
			"time_intervals: [{name: always, time_intervals: [{years: ['2000:9999']}]}]\n"
		w := newWorld(t, am)
		id := w.silence("noisy")
		w.fail("db")
		b.await(t, "web: firing db")
		w.fail("cart", "noisy", "late", "tea", "db")
		db := ""
		for _, a := range w.n.cfg.Alerts.Notified() {
			if a.Labels.Get("service_name") == "db" {
				db = LabelSet(a.Labels).Fingerprint().String()
			}
		}
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			require.Equal(c, []string{"cart web inhibited " + db, "db web sent ", "late pager grouped ", "noisy web silenced " + id,
				"tea web muted always"}, w.fates())
		}, 2*time.Minute, 5*time.Millisecond)
	})
}

func TestNoticesSurviveAndCountAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		b.down.Store(true)
		w.fail("cart")
		require.Eventually(t, func() bool { list := w.n.Notices(0); return len(list) > 0 && list[0].Attempt > 1 }, 2*time.Minute,
			5*time.Millisecond)
		b.down.Store(false)
		b.await(t, "web: firing cart")
		require.Eventually(t, func() bool { return w.n.Notices(1)[0].Error == "" }, 2*time.Minute, time.Millisecond)
		was := w.n.Notices(0)
		require.Eventually(t, func() bool {
			log, err := w.n.keeper.snapshot(kindLog)
			return err == nil && len(log) > 0
		}, 2*time.Minute, time.Millisecond, "written with the notification log")
		w.kill()
		w.start()
		got := w.n.Notices(0)
		require.Len(t, got, len(was))
		require.Equal(t, was[0].Attempt, got[0].Attempt)
		require.Equal(t, was[0].GroupKey, got[0].GroupKey)
		require.True(t, was[len(was)-1].Retry)
	})
}

func TestNoticesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "route: {receiver: none}\nreceivers: [{name: none}]\n")
		for i := range maxNotices + 50 {
			w.n.notices.add(Notice{Receiver: fmt.Sprint(i)})
		}
		w.n.keeper.retry()
		var again notices
		require.NoError(t, again.load(w.n.keeper))
		require.Equal(t, w.n.notices.newest(0), again.newest(0))
		require.Equal(t, fmt.Sprint(maxNotices+49), again.newest(1)[0].Receiver)
		require.Less(t, len(again.list), maxNotices)
	})
}

func TestAReceiverCanBeTested(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		list, err := w.n.TestReceiver(context.Background(), "pager", time.Now())
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Empty(t, list[0].Error)
		require.Equal(t, "pager", b.got[0].Receiver)
		require.Equal(t, "WatchingCatTest", b.got[0].CommonLabels["alertname"])
		b.down.Store(true)
		list, err = w.n.TestReceiver(context.Background(), "web", time.Now())
		require.NoError(t, err)
		require.NotEmpty(t, list[0].Error)
		_, err = w.n.TestReceiver(context.Background(), "nobody", time.Now())
		require.ErrorIs(t, err, ErrNoReceiver)
		rs := w.n.Receivers()
		require.Equal(t, []string{"pager", "web"}, []string{rs[0].Name, rs[1].Name})
		require.False(t, rs[0].Used)
		require.True(t, rs[1].Used)
		require.Empty(t, w.n.Notices(0), "tests are no notices")
	})
}
