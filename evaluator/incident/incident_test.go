package incident

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/storage"
)

// script is incidents that a text moves: one step a line.
//
//	SECONDS fire NAME SERVICE [cause=SERVICE/SHARE] [path=SERVICE,...] [LABEL=VALUE ...]
//	SECONDS resolve NAME SERVICE [LABEL=VALUE ...]
//	SECONDS refresh NAME SERVICE cause=SERVICE/SHARE
//	restart
//
// SERVICE is - for none.
type script struct {
	t       *testing.T
	kv      storage.KV
	b       *Book
	limits  Limits
	records map[string]*alert.Record
}

func newScript(t *testing.T, l Limits) *script {
	s := &script{t: t, kv: storage.NewMem(storage.MemOptions{}), limits: l, records: map[string]*alert.Record{}}
	s.restart()
	return s
}

func (s *script) restart() {
	b, err := Open(s.kv, s.limits)
	require.NoError(s.t, err)
	s.b = b
}

func (s *script) do(text string) {
	s.t.Helper()
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == "restart":
			s.restart()
		default:
			s.step(f)
		}
	}
}

func (s *script) step(f []string) {
	s.t.Helper()
	seconds, err := strconv.Atoi(f[0])
	require.NoError(s.t, err, f)
	at := time.Unix(int64(seconds), 0).UTC()
	l := labels.NewBuilder(labels.FromStrings(labels.AlertName, f[2]))
	if f[3] != "-" {
		l.Set("service_name", f[3])
	}
	v := &alert.Evidence{At: at}
	for _, x := range f[4:] {
		name, value, _ := strings.Cut(x, "=")
		switch name {
		case "cause":
			c, share, _ := strings.Cut(value, "/")
			v.Cause = &alert.Cause{Name: c, Signal: alert.CauseErrors, ErrorRate: .5}
			v.Cause.Share, err = strconv.ParseFloat(share, 64)
			require.NoError(s.t, err)
			v.Path = append([]alert.PathEdge{{Server: c, OwnExcessFailed: 100 * v.Cause.Share}}, v.Path...)
		case "path":
			for _, server := range strings.Split(value, ",") {
				v.Path = append(v.Path, alert.PathEdge{Server: server})
			}
		default:
			l.Set(name, value)
		}
	}
	r := &alert.Record{Group: "g", Rule: f[2], Alert: alert.Alert{RuleID: f[2], Labels: l.Labels(), State: alert.StateFiring,
		ActiveAt: at.Add(-5 * time.Second), FiredAt: at, Evidence: v}}
	tx := s.b.Begin()
	switch f[1] {
	case "fire":
		r.Incident = tx.Fired(r)
		s.records[r.Key()] = r
	case "resolve":
		tx.Resolved(s.records[r.Key()], at)
	case "refresh":
		tx.Refresh(s.records[r.Key()].Incident, KeyOf(r), v)
	default:
		s.t.Fatal(f)
	}
	s.commit(tx)
}

func (s *script) commit(tx *Tx) {
	entries, err := tx.Entries()
	require.NoError(s.t, err)
	require.NoError(s.t, s.kv.Commit(storage.Commit{Entries: entries}))
	tx.Done(true)
}

// text is the incidents, the newest first: from, to, cause, how often its alerts fired, and their names.
func (s *script) text() string {
	var out []string
	for _, h := range s.b.List() {
		to := "now"
		if !h.Open() {
			to = fmt.Sprint(h.ResolvedAt.Unix())
		}
		i, err := s.b.Get(h.ID)
		require.NoError(s.t, err)
		require.Equal(s.t, h, i.Header)
		out = append(out, fmt.Sprintf("%d to %s %s %d alerts fired %d: %s", h.FiredAt.Unix(), to, cmp.Or(h.Cause, "-"), h.Alerts, h.Fired,
			strings.Join(h.Names, " ")))
	}
	return strings.Join(out, "\n")
}

func TestAlertsOfOneReasonAreOneIncident(t *testing.T) {
	for name, c := range map[string]struct{ steps, want string }{
		"on one path": {`
			1000 fire Errors frontend path=checkout,payment cause=payment/0.9
			1030 fire Errors checkout cause=payment/1
			1060 fire Slow payment`,
			"1000 to now payment 3 alerts fired 3: Errors Slow"},
		"another path": {`
			1000 fire Errors frontend cause=payment/0.9
			1030 fire Errors search cause=products/1`,
			"1030 to now products 1 alerts fired 1: Errors\n1000 to now payment 1 alerts fired 1: Errors"},
		"on its path, but later": {`
			1000 fire Errors frontend path=checkout cause=payment/0.9
			1121 fire Slow checkout`,
			"1121 to now - 1 alerts fired 1: Slow\n1000 to now payment 1 alerts fired 1: Errors"},
		"later, with the same cause": {`
			1000 fire Errors frontend cause=payment/0.9
			1900 fire Budget checkout cause=payment/0.5`,
			"1000 to now payment 2 alerts fired 2: Errors Budget"},
		"it resolves with its last alert": {`
			1000 fire Errors frontend cause=payment/0.9
			1001 fire Errors checkout cause=payment/0.9
			1100 resolve Errors checkout
			1200 resolve Errors frontend
			1300 resolve Errors frontend`,
			"1000 to 1200 payment 2 alerts fired 2: Errors"},
		"an alert that flaps": {`
			1000 fire Errors frontend
			1010 resolve Errors frontend
			1020 fire Errors frontend
			1030 resolve Errors frontend
			1090 fire Errors frontend
			1100 resolve Errors frontend`,
			"1000 to 1100 - 1 alerts fired 3: Errors"},
		"again after a while": {`
			1000 fire Errors frontend cause=payment/1
			1010 resolve Errors frontend
			1071 fire Errors frontend cause=payment/1`,
			"1071 to now payment 1 alerts fired 1: Errors\n1000 to 1010 payment 1 alerts fired 1: Errors"},
		"no service: alerts of one rule": {`
			1000 fire Disk - disk=a
			1010 fire Disk - disk=b
			1020 fire Queue -`,
			"1020 to now - 1 alerts fired 1: Queue\n1000 to now - 2 alerts fired 2: Disk"},
		"two environments": {`
			1000 fire Errors frontend cause=payment/1 env=prod
			1001 fire Errors frontend cause=payment/1 env=staging
			1002 fire Slow frontend cause=payment/1 env=staging`,
			"1001 to now payment 2 alerts fired 2: Errors Slow\n1000 to now payment 1 alerts fired 1: Errors"},
		"one path through several namespaces": {`
			1000 fire Errors frontend path=checkout cause=payment/0.9 service_namespace=shop env=prod
			1030 fire Errors checkout service_namespace=orders env=prod
			1060 fire Slow payment k8s_namespace_name=billing env=prod`,
			"1000 to now payment 3 alerts fired 3: Errors Slow"},
		"they name one cause later, from several namespaces": {`
			1000 fire Errors frontend cause=catalog/0.4 service_namespace=shop
			1005 fire Errors checkout cause=payment/0.9 service_namespace=orders
			1015 refresh Errors frontend cause=payment/0.9 service_namespace=shop`,
			"1000 to now payment 2 alerts fired 2: Errors"},
		"a service of the same name in another namespace": {`
			1000 fire Errors frontend cause=payment/1 namespace=a
			1001 fire Errors frontend cause=payment/1 namespace=b
			1002 fire Slow payment namespace=a
			1003 fire Stuck payment namespace=b`,
			"1001 to now payment 2 alerts fired 2: Errors Stuck\n1000 to now payment 2 alerts fired 2: Errors Slow"},
		"no service: alerts of one rule in another namespace": {`
			1000 fire Disk - disk=a namespace=a
			1010 fire Disk - disk=b namespace=b`,
			"1010 to now - 1 alerts fired 1: Disk\n1000 to now - 1 alerts fired 1: Disk"},
		"the cause that most of it says": {`
			1000 fire Errors frontend path=checkout cause=catalog/0.4
			1001 fire Errors checkout cause=payment/0.9
			1002 fire Errors frontend path=payment cause=catalog/0.3 n=2`,
			"1000 to now payment 3 alerts fired 3: Errors"},
		"newer evidence names another cause": {`
			1000 fire Errors frontend cause=catalog/0.4
			1015 refresh Errors frontend cause=payment/0.9`,
			"1000 to now payment 1 alerts fired 1: Errors"},
		"what is wrong fades": {`
			1000 fire Errors frontend cause=payment/0.9
			1015 refresh Errors frontend cause=redis/0.4
			1030 refresh Errors frontend`,
			"1000 to now payment 1 alerts fired 1: Errors"},
		"they name one cause later": {`
			1000 fire Errors frontend cause=catalog/0.4
			1005 fire Errors checkout cause=payment/0.9
			1006 fire Slow search cause=products/1
			1010 fire Errors payment cause=payment/1
			1015 refresh Errors frontend cause=payment/0.9
			restart
			1020 resolve Errors checkout
			1021 resolve Errors payment
			1022 resolve Errors frontend`,
			"1006 to now products 1 alerts fired 1: Slow\n1000 to 1022 payment 3 alerts fired 3: Errors"},
		"they name one cause in two environments": {`
			1000 fire Errors frontend cause=catalog/0.4 env=prod
			1005 fire Errors checkout cause=payment/0.9 env=test
			1015 refresh Errors frontend cause=payment/0.9 env=prod`,
			"1005 to now payment 1 alerts fired 1: Errors\n1000 to now payment 1 alerts fired 1: Errors"},
		"something else breaks soon after": {`
			1000 fire Errors frontend cause=payment/0.9
			1100 resolve Errors frontend
			1150 fire Errors frontend cause=cart/0.8`,
			"1150 to now cart 1 alerts fired 1: Errors\n1000 to 1100 payment 1 alerts fired 1: Errors"},
		"something else breaks soon after, and is known later": {`
			1000 fire Errors frontend path=cart cause=payment/1
			1100 resolve Errors frontend
			1150 fire Errors frontend
			1160 fire Slow cart cause=cart/0.5
			1165 refresh Errors frontend cause=cart/0.6`,
			"1000 to now cart 2 alerts fired 3: Errors Slow"},
		"the cause of what fires": {`
			1000 fire Errors payment cause=payment/1
			1010 fire Errors frontend path=payment cause=payment/1
			1020 resolve Errors payment
			1025 refresh Errors frontend cause=cart/2`,
			"1000 to now cart 2 alerts fired 2: Errors"},
		"a cause that was known stays until another is": {`
			1000 fire Errors frontend cause=payment/1
			1010 resolve Errors frontend
			1020 fire Errors frontend`,
			"1000 to now payment 1 alerts fired 2: Errors"},
		"restarts": {`
			1000 fire Errors frontend cause=payment/0.9
			restart
			1001 fire Errors checkout cause=payment/0.9
			1100 resolve Errors checkout
			restart
			1200 resolve Errors frontend
			restart
			1230 fire Errors frontend cause=payment/0.9`,
			"1000 to now payment 2 alerts fired 3: Errors"},
	} {
		s := newScript(t, Limits{})
		s.do(c.steps)
		require.Equal(t, c.want, s.text(), name)
		for _, r := range s.records {
			i, err := s.b.Get(r.Incident)
			require.NoError(t, err, name)
			require.NotNil(t, i.member(KeyOf(r)), name)
			require.Equal(t, i.ID, s.b.Current(r.Incident), name)
		}
		s.restart()
		require.Equal(t, c.want, s.text(), name)
	}
}

func TestIncidentsAreBounded(t *testing.T) {
	s := newScript(t, Limits{Incidents: 3, OpenOnes: 2, Retention: time.Hour})
	s.do(`
		1000 fire A a
		1001 fire A b
		1002 fire A c`)
	require.Equal(t, "1001 to now - 1 alerts fired 1: A\n1000 to now - 1 alerts fired 1: A", s.text(), "a third one at a time")
	s.do(`
		1003 resolve A a
		1004 fire A d
		1005 resolve A d
		1006 fire A e`)
	require.Equal(t, "1006 to now - 1 alerts fired 1: A\n1004 to 1005 - 1 alerts fired 1: A\n1001 to now - 1 alerts fired 1: A", s.text(),
		"the oldest resolved one went")
	s.do("1007 resolve A e\n4606 fire A f")
	require.Equal(t, "4606 to now - 1 alerts fired 1: A\n1006 to 1007 - 1 alerts fired 1: A\n1001 to now - 1 alerts fired 1: A", s.text(),
		"an hour and a second after it resolved")
	s.restart()
	require.Len(t, s.b.List(), 3)

	one := newScript(t, Limits{})
	for n := range maxMembers + 1 {
		one.do(fmt.Sprintf("1000 fire A a n=%d", n))
	}
	i, err := one.b.Get(one.b.List()[0].ID)
	require.NoError(t, err)
	require.Len(t, i.Members, maxMembers)
	require.Len(t, i.Events, maxEvents)
	require.Equal(t, maxMembers+1, i.Fired)
	require.Equal(t, 2, i.Dropped, "an alert and an event")
}

// What is planned and not committed is not there.
func TestFailedCommitChangesNothing(t *testing.T) {
	s := newScript(t, Limits{})
	s.do("1000 fire A a cause=a/1")
	before := s.text()
	tx := s.b.Begin()
	r := &alert.Record{Group: "g", Rule: "B", Alert: alert.Alert{Labels: labels.FromStrings(labels.AlertName, "B", "service_name", "a"),
		State: alert.StateFiring, FiredAt: time.Unix(1001, 0)}}
	require.NotEmpty(t, tx.Fired(r))
	_, err := tx.Entries()
	require.NoError(t, err)
	tx.Done(false)
	require.Equal(t, before, s.text())
}

// The id that another replica gave leads here.
func TestIDsOfReplicas(t *testing.T) {
	a, b := newScript(t, Limits{}), newScript(t, Limits{})
	a.do("1000 fire A web cause=db/1\n1010 fire A cart cause=db/1")
	b.do("1009 fire A cart cause=db/1\n1011 fire A web cause=db/1\n1050 resolve A web\n1051 resolve A cart")
	ida, idb := a.b.List()[0].ID, b.b.List()[0].ID
	require.NotEqual(t, ida, idb)
	i, err := a.b.Get(idb)
	require.NoError(t, err)
	require.Equal(t, ida, i.ID)
	i, err = b.b.Get(ida)
	require.NoError(t, err)
	require.Equal(t, idb, i.ID)
	for _, id := range []string{"", "x", "00000000-00000000", "000003e8-zz"} {
		_, err = a.b.Get(id)
		require.ErrorIs(t, err, ErrNotFound, id)
	}
}

func TestDeliveriesBelongToIncidents(t *testing.T) {
	s := newScript(t, Limits{})
	s.do("1000 fire A web cause=db/1\n2000 fire A cart cause=cart/1")
	sent := func(l labels.Labels) labels.Labels { return labels.NewBuilder(l).Set("region", "eu").Labels() }
	deliver := func(list ...Delivery) {
		tx := s.b.Begin()
		tx.Deliver(list, sent)
		s.commit(tx)
	}
	web := sent(labels.FromStrings(labels.AlertName, "A", "service_name", "web"))
	at := func(n int) time.Time { return time.Unix(int64(n), 0).UTC() }
	count := func(n int) int {
		i, err := s.b.Get(s.b.List()[n].ID)
		require.NoError(t, err)
		return len(i.Deliveries)
	}
	first := Delivery{Time: at(1001), Receiver: "oncall", Integration: "slack", Alerts: []labels.Labels{web}}
	deliver(first, Delivery{Time: at(1001), Receiver: "x", Alerts: []labels.Labels{labels.FromStrings("a", "b")}})
	deliver(first)
	require.Equal(t, []int{0, 1}, []int{count(0), count(1)})
	s.do("1100 resolve A web")
	deliver(Delivery{Time: at(1900), Receiver: "oncall", Integration: "slack", Resolved: true, Alerts: []labels.Labels{web}})
	deliver(Delivery{Time: at(2001), Receiver: "oncall", Integration: "slack", Alerts: []labels.Labels{web}}) // of a later incident
	require.Equal(t, 2, count(1))
	s.do("2001 fire A web cause=db/1")
	for n := range 2 * maxDeliveries {
		deliver(Delivery{Time: at(2002 + n), Receiver: "oncall", Alerts: []labels.Labels{web}})
	}
	deliver(Delivery{Time: at(2010), Receiver: "oncall", Alerts: []labels.Labels{web}}) // that was dropped
	i, err := s.b.Get(s.b.List()[0].ID)
	require.NoError(t, err)
	require.Len(t, i.Deliveries, maxDeliveries)
	require.Equal(t, at(2002), i.Deliveries[0].Time, "who was notified first")
	require.Equal(t, at(2001+2*maxDeliveries), i.Deliveries[maxDeliveries-1].Time)
	require.Equal(t, maxDeliveries, i.Dropped)
}

// Alerts that are no more when a process begins are resolved.
func TestReconcile(t *testing.T) {
	s := newScript(t, Limits{})
	s.do("1000 fire A web cause=db/1\n1010 fire A cart cause=db/1\nrestart")
	tx := s.b.Begin()
	tx.Reconcile(func(key string) bool { return key == KeyOf(s.record("web")) })
	s.commit(tx)
	require.Equal(t, "1000 to now db 2 alerts fired 2: A", s.text())
	tx = s.b.Begin()
	tx.Reconcile(func(string) bool { return false })
	s.commit(tx)
	require.Equal(t, "1000 to 1010 db 2 alerts fired 2: A", s.text())
}

func (s *script) record(service string) *alert.Record {
	for _, r := range s.records {
		if r.Labels.Get("service_name") == service {
			return r
		}
	}
	return nil
}
