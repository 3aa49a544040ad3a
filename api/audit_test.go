package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/notify"
	"github.com/gaurav/watchingcat/storage"
)

// oneReceiver is notifications with a receiver that takes everything.
type oneReceiver struct{}

func (oneReceiver) Notices(int) []notify.Notice { return nil }

func (oneReceiver) Deliveries(context.Context, time.Time) (map[model.Fingerprint][]notify.Delivery, error) {
	return nil, nil
}

func (oneReceiver) Sent(l labels.Labels) labels.Labels { return l }

func (oneReceiver) Alertmanagers() []notify.AlertmanagerState { return nil }

func (oneReceiver) Receivers() []notify.Receiver { return nil }

func (oneReceiver) TestReceiver(_ context.Context, name string, _ time.Time) ([]notify.Notice, error) {
	if name != "night" {
		return nil, notify.ErrNoReceiver
	}
	return []notify.Notice{}, nil
}

func (oneReceiver) Simulate([]notify.AlertChange, time.Time) ([]notify.SimulatedNotice, error) {
	return nil, nil
}

// silencer is Alertmanager's API of silences.
func silencer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/silences"):
		fmt.Fprint(w, `{"silenceID":"7f"}`)
	case r.Method == http.MethodPost && strings.Contains(r.Header.Get("Content-Type"), "odd"):
		w.WriteHeader(http.StatusBadRequest)
	case r.Method == http.MethodDelete && !strings.HasSuffix(r.URL.Path, "/7f"):
		w.WriteHeader(http.StatusNotFound)
	}
}

// changes are requests that change something, in an order in which each succeeds, and what the audit trail says of them: action, kind and
// object. NEW is what the request before has made.
var changes = []struct{ operation, request, entry string }{
	{"createAlertRule", `POST /api/v1/alerts {"name":"A","expr":"vector(1) > 0"}`, "create rule_group page/page"},
	{"updateAlertRule", `PUT /api/v1/alerts/NEW {"name":"A","expr":"vector(1) > 1"}`, "update rule_group page/page"},
	{"deleteAlertRule", `DELETE /api/v1/alerts/NEW`, "delete rule_group page/page"},
	{"rulerSetGroup", "POST /prometheus/config/v1/rules/ns name: g\nrules:\n- alert: B\n  expr: vector(1) > 0\n", "set rule_group ns/g"},
	{"rulerDeleteGroup", `DELETE /prometheus/config/v1/rules/ns/g`, "delete rule_group ns/g"},
	{"rulerSetGroup", "POST /prometheus/config/v1/rules/ns name: h\nrules:\n- alert: B\n  expr: vector(1) > 0\n", "set rule_group ns/h"},
	{"rulerDeleteNamespace", `DELETE /prometheus/config/v1/rules/ns`, "delete rule_group ns/h"},
	{"createSLO", `POST /api/v1/slos {"name":"pay","service":"pay","objective":99,"window":"30d"}`, "create slo NEW"},
	{"updateSLO", `PUT /api/v1/slos/NEW {"name":"pay","service":"pay","objective":98,"window":"30d"}`, "update slo NEW"},
	{"deleteSLO", `DELETE /api/v1/slos/NEW`, "delete slo NEW"},
	{"createSavedView", `POST /api/v1/saved-views {"name":"v","page":"logs","query":"a=b"}`, "create saved_view NEW"},
	{"updateSavedView", `PUT /api/v1/saved-views/NEW {"name":"w","page":"logs","query":"a=b"}`, "update saved_view NEW"},
	{"deleteSavedView", `DELETE /api/v1/saved-views/NEW`, "delete saved_view NEW"},
	{"createDashboard", `POST /api/v1/dashboards {"title":"D"}`, "create dashboard NEW"},
	{"updateDashboard", `PUT /api/v1/dashboards/NEW {"title":"E"}`, "update dashboard NEW"},
	{"deleteDashboard", `DELETE /api/v1/dashboards/NEW`, "delete dashboard NEW"},
	{"acknowledgeIncident", `PUT /api/v1/incidents/INCIDENT/acknowledgement`, "acknowledge incident INCIDENT"},
	{"withdrawIncidentAcknowledgement", `DELETE /api/v1/incidents/INCIDENT/acknowledgement`, "withdraw incident INCIDENT"},
	{"commentIncident", `POST /api/v1/incidents/INCIDENT/comments {"text":"a full disk"}`, "comment incident INCIDENT"},
	{"createUser", `POST /api/v1/users {"name":"ann","role":"viewer","password":"correct horse"}`, "create user ann"},
	{"updateUser", `PUT /api/v1/users/ann {"role":"editor"}`, "update user ann"},
	{"deleteUser", `DELETE /api/v1/users/ann`, "delete user ann"},
	{"createToken", `POST /api/v1/tokens {"name":"x","role":"viewer"}`, "create token NEW"},
	{"revokeToken", `DELETE /api/v1/tokens/NEW`, "delete token NEW"},
	{"startReplay", `POST /api/v1/replays {}`, "start replay 1"},
	{"pauseReplay", `POST /api/v1/replays/1/pause`, "pause replay 1"},
	{"resumeReplay", `POST /api/v1/replays/1/resume`, "resume replay 1"},
	{"cancelReplay", `DELETE /api/v1/replays/1`, "cancel replay 1"},
	{"startBackup", `POST /api/v1/backups {"location":"/backups"}`, "start backup 1"},
	{"cancelBackup", `DELETE /api/v1/backups/1`, "cancel backup 1"},
	{"testReceiver", `POST /api/v1/receivers/night/test`, "test receiver night"},
	{"startTopicBacktest", "POST /api/v1/alerts/backtests " + topicBody, "start backtest 1"},
	{"cancelTopicBacktest", `DELETE /api/v1/alerts/backtests/1`, "cancel backtest 1"},
	{"amPost", `POST /alertmanager/api/v2/silences {"matchers":[]}`, "create silence 7f"},
	{"amDelete", `DELETE /alertmanager/api/v2/silence/7f`, "delete silence 7f"},
}

// readers are the operations that send something and change nothing that others see.
var readers = map[string]bool{"testBackend": true, "startVerification": true, "cancelVerification": true, "mcp": true, // each tool makes a request of its own, which is audited
	"queryMetrics": true, "searchTraces": true, "searchLogs": true, "backtestAlertRule": true, "backtestRules": true,
	"makeAlertRules": true, "convertDashboard": true,
	"refreshLogin":  true,
	"promQueryForm": true, "promQueryRangeForm": true, "promExemplarsForm": true, "promFormatForm": true, "promParseForm": true,
	"promLabelsForm": true, "promSeriesForm": true, "promRead": true, "jaegerTransform": true,
}

// TestEveryChangeIsInTheAuditTrail walks the operations of the document that are no GET: each is known to read, or is recorded with who did it.
func TestEveryChangeIsInTheAuditTrail(t *testing.T) {
	b := newAuthBench(t, func(c *Config) {
		c.Notifications, c.Alertmanager, c.Topics = oneReceiver{}, http.HandlerFunc(silencer), topicDouble{}
	})
	admin := "Authorization: Bearer " + b.token(auth.Admin)
	type entry struct{ By, Action, Kind, Object string }
	trail := func() []entry {
		t.Helper()
		var list struct{ Audit []entry }
		require.NoError(t, json.Unmarshal(b.get("/api/v1/audit?limit=1000", admin).Body.Bytes(), &list))
		return list.Audit
	}
	// TestLoginsAreInTheAuditTrail, TestChangeOwnPassword
	audited := map[string]bool{"loginUser": true, "logoutUser": true, "changePassword": true}
	made, of := "", b.incident("A")
	for _, c := range changes {
		c.request, c.entry = strings.ReplaceAll(c.request, "INCIDENT", of), strings.ReplaceAll(c.entry, "INCIDENT", of)
		audited[c.operation] = true
		method, rest, _ := strings.Cut(strings.ReplaceAll(c.request, "NEW", made), " ")
		target, body, _ := strings.Cut(rest, " ")
		before := len(trail())
		w := b.do(method, target, body, admin, "Content-Type: application/json")
		require.Less(t, w.Code, 300, "%s: %s", c.request, w.Body)
		var answer struct {
			ID   string
			Info struct{ ID string }
			Rule struct{ ID string }
		}
		if json.Unmarshal(w.Body.Bytes(), &answer) == nil && strings.HasPrefix(c.operation, "create") {
			made = answer.ID + answer.Info.ID + answer.Rule.ID
		}
		now := trail()
		require.Len(t, now, before+1, c.request)
		require.Equal(t, "token:admin "+strings.ReplaceAll(c.entry, "NEW", made),
			strings.Join([]string{now[0].By, now[0].Action, now[0].Kind, now[0].Object}, " "), c.request)
	}
	for path, item := range b.s.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if method != http.MethodGet {
				require.True(t, audited[op.OperationID] != readers[op.OperationID], "%s %s (%s): a change that is not audited?", method, path,
					op.OperationID)
			}
		}
	}
	before := len(trail())
	for _, failed := range []string{"DELETE /alertmanager/api/v2/silence/odd", "POST /api/v1/receivers/odd/test",
		"DELETE /api/v1/replays/9", "POST /api/v1/replays/9/pause", "DELETE /api/v1/users/odd", "GET /alertmanager/api/v2/silences"} {
		method, target, _ := strings.Cut(failed, " ")
		b.do(method, target, "", admin)
	}
	require.Len(t, trail(), before, "what failed is no change")
	for _, e := range trail() {
		require.NotContains(t, e.By, "anonymous")
	}
}

// trailOf is the audit trail as "by action kind object address count", oldest first.
func trailOf(t *testing.T, b *bench, admin string) (out []string) {
	t.Helper()
	var list struct {
		Audit []struct {
			By, Action, Kind, Object, Address string
			Count                             int
		}
	}
	require.NoError(t, json.Unmarshal(b.get("/api/v1/audit?limit=1000", admin).Body.Bytes(), &list))
	for _, e := range slices.Backward(list.Audit) {
		if e.Count > 0 {
			out = append(out, fmt.Sprintf("%s %s %s %s from %s: %d", e.By, e.Action, e.Kind, e.Object, e.Address, e.Count))
		}
	}
	return out
}

func TestLoginsAreInTheAuditTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newAuthBench(t, func(c *Config) { c.Alertmanager = http.HandlerFunc(silencer) })
		admin, js := "Authorization: Bearer "+b.token(auth.Admin), "Content-Type: application/json"
		require.Equal(t, 201, b.do("POST", "/api/v1/users", `{"name":"ann","role":"viewer","password":"correct horse"}`, admin, js).Code)
		step := func(want ...string) {
			t.Helper()
			synctest.Wait()
			require.Equal(t, want, trailOf(t, b, admin))
		}
		try := func(name, password string) *httptest.ResponseRecorder {
			return b.do("POST", "/api/v1/auth/login", `{"username":"`+name+`","password":"`+password+`"}`, js)
		}
		w := try("ann", "correct horse")
		require.Equal(t, 200, w.Code)
		in := "ann login login ann from 192.0.2.1: 1"
		step(in) // at once
		b.do("POST", "/api/v1/auth/logout", "", js)
		step(in) // login with OpenID Connect failed
		b.do("POST", "/api/v1/auth/logout", "", js, "Cookie: "+strings.Split(w.Header().Get("Set-Cookie"), ";")[0])
		out := "ann logout login ann from 192.0.2.1: 1"
		step(in, out)
		for range 3 {
			require.Equal(t, 401, try("ann", "wrong horse").Code)
		}
		require.Equal(t, 401, try("correct horse", "typed into the wrong field").Code)
		b.now = b.now.Add(time.Second)
		require.Equal(t, 401, b.get("/api/v1/services", "Authorization: Bearer wc_0_nobody").Code)
		require.Equal(t, 401, b.get("/api/v1/services", "Cookie: "+auth.Cookie+"=old").Code) // a browser whose login has ended
		for range 2 {
			require.Equal(t, 200, b.do("POST", "/alertmanager/api/v2/alerts", "[]", admin).Code)
			synctest.Wait()
		}
		b.do("POST", "/alertmanager/api/v2/alerts", "[]", admin, "Content-Type: odd")
		synctest.Wait()
		require.Contains(t, trailOf(t, b, admin)[2], "anonymous refuse login ann from 192.0.2.1")
		time.Sleep(caller.TrailRound) // what was counted since is written
		rest := []string{"anonymous refuse login ann from 192.0.2.1: 3", "anonymous refuse login a name that nobody has from 192.0.2.1: 1",
			"anonymous refuse login a token from 192.0.2.1: 1"}
		step(append([]string{in, out}, append(rest, "token:admin send alert alerts from 192.0.2.1: 1")...)...)
		time.Sleep(time.Hour) // alerts come as long as they fire, and are one entry
		step(append([]string{in, out}, append(rest, "token:admin send alert alerts from 192.0.2.1: 2")...)...)
		require.NotContains(t, b.get("/api/v1/audit?limit=1000", admin).Body.String(), "horse")
		require.Equal(t, 1, strings.Count(b.get("/api/v1/audit?kind=alert", admin).Body.String(), `"count"`))
		b.s.Close()
	})
}

// Whoever asks with wrong passwords from many addresses fills nothing, hides no login of others, and is recorded with the true number.
func TestFloodOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var puts []int
		b := newAuthBench(t, func(c *Config) { c.Logger = zerolog.Nop() })
		b.s.rest.Trail.Put = func(ctx context.Context, list []storage.Object) error {
			if len(puts) == 1 {
				puts = append(puts, 0)
				return errors.New("the brokers do not answer")
			}
			puts = append(puts, len(list))
			return b.made.Put(ctx, list)
		}
		const addresses = 20_000
		for i := range addresses {
			r := httptest.NewRequest("GET", "/api/v1/services", nil)
			r.RemoteAddr = fmt.Sprintf("10.1.%d.%d:999", i/256, i%256)
			r.Header.Set("Authorization", "Bearer wc_0_"+strconv.Itoa(i))
			b.s.Handler().ServeHTTP(httptest.NewRecorder(), r)
		}
		b.s.rest.Trail.Happened(caller.Event{Action: "login", Kind: storage.KindLogin, Object: "ann", By: "ann", Address: "192.0.2.1"},
			1)
		time.Sleep(3 * caller.TrailRound)
		synctest.Wait()
		list, total := 0, 0
		for _, part := range []string{storage.KindAuditRefusal, storage.KindAuditLogin} {
			stored, err := storage.Objects(b.s.cfg.Store, part)
			require.NoError(t, err)
			for _, o := range stored {
				var a storage.AuditEntry
				require.NoError(t, json.Unmarshal(o.Value, &a))
				list, total = list+1, total+a.Count
			}
		}
		require.Equal(t, caller.TrailApart+2, list)
		require.Equal(t, addresses+1, total)
		written := 0
		for _, n := range puts {
			written += n
		}
		require.LessOrEqual(t, written, 2*(caller.TrailApart+2), "%v", puts)
		require.False(t, b.s.rest.Trail.Running(), "nothing waits any more")
		b.s.Close()
	})
}
