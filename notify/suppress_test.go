package notify

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noted waits until the store says of so many alerts that they are suppressed.
func (w *world) noted(want int) {
	w.t.Helper()
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		got, err := w.n.keeper.readSuppressed()
		assert.NoError(c, err)
		assert.Len(c, got, want)
	}, 2*time.Minute, 5*time.Millisecond)
}

// quiet waits until the notifier is through with what it was given.
func (w *world) quiet() {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		left, err := w.e.Outbox().Pending()
		return err == nil && len(left) == 0
	}, 2*time.Minute, 10*time.Millisecond)
}

func (w *world) silenceFor(d time.Duration) {
	w.t.Helper()
	body := fmt.Sprintf(`{"matchers":[{"name":"service_name","value":"cart","isRegex":false,"isEqual":true}],"startsAt":%q,"endsAt":%q,"createdBy":"me","comment":"known"}`,
		time.Now().Format(time.RFC3339Nano), time.Now().Add(d).Format(time.RFC3339Nano))
	req := httptest.NewRequest(http.MethodPost, "/api/v2/silences", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	res := httptest.NewRecorder()
	w.n.API().ServeHTTP(res, req)
	require.Equal(w.t, http.StatusOK, res.Code, res.Body)
}

const inhibits = "inhibit_rules: [{source_matchers: ['service_name=\"db\"'], target_matchers: ['service_name=\"cart\"'], equal: [severity]}]\n"

// An alert that was suppressed, and that is over when the next process begins, is not notified: neither as firing nor as resolved.
func TestSuppressedAndOverWhileDown(t *testing.T) {
	muted := func(route string) func(*inbox) string {
		return func(b *inbox) string {
			return config(b, ", routes: [{matchers: ['service_name=\"cart\"'], receiver: pager, "+route+"}]") +
				"time_intervals: [{name: always, time_intervals: [{}]}, {name: never, time_intervals: [{years: ['1999']}]}]\n"
		}
	}
	silent := func(d time.Duration) func(*world) { return func(w *world) { w.silenceFor(d) } }
	for name, c := range map[string]struct {
		config  func(*inbox) string
		before  func(*world)
		at      []string // that fail at once
		noted   int
		between func(*world) // while no process runs
		want    []string
	}{
		"inhibited": {config: func(b *inbox) string { return config(b, "") + inhibits }, at: []string{"db", "cart"}, noted: 1,
			want: []string{"web: firing db", "web: resolved db"}},
		"inhibited, the rule is gone": {config: func(b *inbox) string { return config(b, "") + inhibits }, at: []string{"db", "cart"},
			noted:   1,
			between: func(w *world) { w.config = strings.ReplaceAll(w.config, inhibits, "") },
			want:    []string{"web: firing db", "web: resolved db"}},
		"inhibited, not noted yet": {config: func(b *inbox) string { return config(b, "") + inhibits }, at: []string{"db", "cart"},
			noted: -1, want: []string{"web: firing db", "web: resolved db"}},
		"muted": {config: muted("mute_time_intervals: [always]"), at: []string{"cart"}, noted: 1},
		"muted, no longer": {config: muted("mute_time_intervals: [always]"), at: []string{"cart"}, noted: 1,
			between: func(w *world) { w.config = strings.ReplaceAll(w.config, "[always]", "[never]") }},
		"not active":            {config: muted("active_time_intervals: [never]"), at: []string{"cart"}, noted: 1},
		"not active, not noted": {config: muted("active_time_intervals: [never]"), at: []string{"cart"}, noted: -1},
		"silenced": {config: func(b *inbox) string { return config(b, "") }, before: silent(time.Hour), at: []string{"cart"},
			noted: 1},
		"silenced, expired": {config: func(b *inbox) string { return config(b, "") }, before: silent(3 * time.Second), at: []string{"cart"},
			noted:   1,
			between: func(*world) { time.Sleep(3 * time.Second) }}, // a silence ends by the wall clock
		"silenced, expired, not noted": {config: func(b *inbox) string { return config(b, "") }, before: silent(3 * time.Second),
			at: []string{"cart"}, noted: -1, between: func(*world) { time.Sleep(3 * time.Second) }},
		"no receiver": {config: func(b *inbox) string {
			return config(b, ", routes: [{matchers: ['service_name=\"cart\"'], receiver: none}]") + "- name: none\n"
		}, at: []string{"cart"}, noted: 1},
		"no receiver, then one": {config: func(b *inbox) string {
			return config(b, ", routes: [{matchers: ['service_name=\"cart\"'], receiver: none}]") + "- name: none\n"
		}, at: []string{"cart"}, noted: 1,
			between: func(w *world) { w.config = strings.ReplaceAll(w.config, "receiver: none", "receiver: pager") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				b := newInbox(t)
				w := newWorld(t, c.config(b))
				if c.before != nil {
					c.before(w)
				}
				if c.noted < 0 {
					w.kill()
					w.fail(c.at...)
				} else {
					if len(c.want) > 0 { // what inhibits is known before what it inhibits is flushed
						w.fail(c.at[0])
						b.await(t, c.want[0])
						w.logged(nil)
					}
					w.fail(c.at...)
					w.noted(c.noted)
					w.kill()
				}
				if c.between != nil {
					c.between(w)
				}
				w.calm()
				w.start()
				w.quiet()
				b.await(t, c.want...)
				w.noted(0)
				// A kill while the resolved alert waits for its group changes nothing.
				w.kill()
				w.start()
				w.quiet()
				b.await(t, c.want...)
			})
		})
	}
}

// A kill after a suppressed alert resolved, before the outbox has forgotten it, makes nothing of it.
func TestSuppressedOverAndKilled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, strings.ReplaceAll(config(b, ""), "group_interval: 100ms", "group_interval: 1h"))
		w.silenceFor(2 * time.Second)
		w.fail("cart")
		w.noted(1)
		w.calm()
		require.Eventually(t, func() bool { return w.n.keeper.over() == 1 }, 2*time.Minute, time.Millisecond)
		w.kill()
		time.Sleep(2 * time.Second) // a silence ends by the wall clock
		w.config = config(b, "")
		w.start()
		w.quiet()
		require.Empty(t, b.text())
	})
}

func (k *keeper) over() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, u := range k.unlogged {
		if u.over {
			n++
		}
	}
	return n
}

// An alert that is still suppressed, or no longer, when the next process begins is treated as if there had been none before.
func TestSuppressedAndFiringStill(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, "")+inhibits)
		w.fail("db")
		b.await(t, "web: firing db")
		log := w.logged(nil)
		w.fail("db", "cart")
		w.noted(1)
		w.kill()
		w.start()
		w.fail("web") // comes after whatever the start may have sent
		b.await(t, "web: firing db", "web: firing web")
		w.logged(log)
		w.kill()
		w.config = config(b, "")
		w.start()
		b.await(t, "web: firing db", "web: firing web", "web: firing cart")
	})
}
