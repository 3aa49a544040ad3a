package live

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/api/telemetry"
	"github.com/gaurav/watchingcat/views/logs"
)

const (
	maxLiveRange = 24 * time.Hour
	maxPushEvery = time.Minute
)

// Filter narrows a live view; each view takes some of it. Its JSON is the key under which clients share a computation.
type Filter struct {
	Range   string `json:"range,omitempty"`   // how far back, as 15m
	Service string `json:"service,omitempty"` // this service alone; on the map, the edges it has a part in
	State   string `json:"state,omitempty"`   // of alerts
	Every   string `json:"every,omitempty"`   // least time between two frames, as 2s

	Severity string `json:"severity,omitempty"` // of log lines, at least
	Text     string `json:"text,omitempty"`     // in their body
	Pattern  string `json:"pattern,omitempty"`
	TraceID  string `json:"trace_id,omitempty"`

	Dimensions map[string]string `json:"dimensions,omitempty"` // values of dimensions, as filter[NAME] of a GET
}

// View is a view that clients can subscribe to. Its snapshot is the answer of the GET of the same name.
type View struct {
	Name    string
	Takes   []string // fields of Filter that it accepts
	Alerts  bool     // changes with alerts too
	Compute func(*Hub, Filter) (*State, error)
}

// Views are the views that clients can subscribe to.
var Views = []*View{
	{Name: "services", Takes: []string{"range", "every", "service", "dimensions"}, Compute: (*Hub).liveServices},
	{Name: "servicehealth", Takes: []string{"range", "every", "service", "dimensions"}, Compute: (*Hub).liveHealth},
	{Name: "servicemap", Takes: []string{"range", "every", "service", "dimensions"}, Compute: (*Hub).liveMap},
	{Name: "alerts", Takes: []string{"state", "every"}, Alerts: true, Compute: (*Hub).liveAlerts},
	{Name: "pipeline", Takes: []string{"every"}, Compute: (*Hub).livePipeline},
	{Name: "logs", Takes: []string{"service", "severity", "text", "pattern", "trace_id", "dimensions"}, Compute: (*Hub).liveLogs},
}

// parseFilter checks a filter and gives equal ones one form.
func (v *View) parseFilter(raw json.RawMessage) (f Filter, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return f, nil
	}
	bad := func(format string, args ...any) (Filter, error) {
		advice := "This view takes no filter."
		if len(v.Takes) > 0 {
			advice = "This view takes " + strings.Join(v.Takes, ", ") + "."
		}
		return Filter{}, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_filter", format, args...), advice)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return bad("the filter is no object")
	}
	for name := range fields {
		if !slices.Contains(v.Takes, name) {
			return bad("unknown filter %q", name)
		}
	}
	if json.Unmarshal(raw, &f) != nil {
		return bad("the values of a filter are strings, those of dimensions an object of strings")
	}
	if f.State != "" && f.State != "pending" && f.State != "firing" {
		return bad("state is pending or firing, not %q", f.State)
	}
	if _, ok := logs.ParseSeverity(f.Severity); f.Severity != "" && !ok {
		return bad("severity is TRACE, DEBUG, INFO, WARN, ERROR or FATAL, not %q", f.Severity)
	}
	if f.TraceID != "" {
		if _, err := answer.ParseTraceID(f.TraceID); err != nil {
			return f, err
		}
	}
	if f.Range != "" {
		d, err := answer.ParseDuration("range", f.Range)
		if err != nil {
			return f, err
		}
		if d > maxLiveRange {
			return bad("range is longer than %v", maxLiveRange)
		}
		f.Range = d.String()
	}
	if f.Every != "" {
		d, err := answer.ParseDuration("every", f.Every)
		if err != nil {
			return f, err
		}
		if d < pushEvery || d > maxPushEvery {
			return bad("every is %v to %v, not %v", pushEvery, maxPushEvery, d)
		}
		f.Every = d.String()
	}
	return f, nil
}

// pause is how long a topic rests after now at least. Those with every compute at its multiples, so that a client that shows several views
// gets their frames together.
func (f Filter) pause(now time.Time) time.Duration {
	every, err := time.ParseDuration(f.Every)
	if err != nil {
		return pushEvery
	}
	return now.Truncate(every).Add(every).Sub(now)
}

func (f Filter) rangeOf(m answer.Moment) (answer.Range, error) {
	length := answer.DefaultRange
	if f.Range != "" {
		var err error
		if length, err = time.ParseDuration(f.Range); err != nil {
			return answer.Range{}, err
		}
	}
	return m.RangeOf(nil, nil, length)
}

// add encodes one item. Items of equal key are one: what a client keeps is keyed too.
func (st *State) add(key string, item any) error {
	b, err := json.Marshal(item)
	if err != nil {
		return err
	}
	if _, again := st.items[key]; !again {
		st.keys = append(st.keys, key)
	}
	st.items[key] = b
	return nil
}

// finish encodes the snapshot, and what besides items makes a delta worth sending.
func (st *State) finish(snapshot any, more ...any) (*State, error) {
	var err error
	if st.snapshot, err = json.Marshal(snapshot); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, v := range append(more, st.meta) {
		if err := json.NewEncoder(&b).Encode(v); err != nil {
			return nil, err
		}
	}
	st.rest = b.Bytes()
	return st, nil
}

func (s *Hub) liveServices(f Filter) (*State, error) {
	m, release := s.Hold(f.Dimensions)
	defer release()
	r, err := f.rangeOf(m)
	if err != nil {
		return nil, err
	}
	list, err := s.Services.List(m, r)
	if err != nil {
		return nil, err
	}
	if f.Service != "" {
		list = slices.DeleteFunc(list, func(v rest.Service) bool { return v.Name != f.Service })
	}
	st := &State{meta: s.Meta(m, r), items: map[string][]byte{}}
	for _, v := range list {
		if err := st.add(telemetry.ServiceRow(v), v); err != nil {
			return nil, err
		}
	}
	st.delta = func(changed []json.RawMessage, removed []string) any {
		return map[string]any{"services": changed, "removed": removed, "meta": st.meta}
	}
	return st.finish(rest.ServiceList{Services: list, Total: len(list), Meta: st.meta})
}

func (s *Hub) liveHealth(f Filter) (*State, error) {
	m, release := s.Hold(f.Dimensions)
	defer release()
	r, err := f.rangeOf(m)
	if err != nil {
		return nil, err
	}
	list, err := s.Services.Health(m, r)
	if err != nil {
		return nil, err
	}
	if f.Service != "" {
		list.Services = slices.DeleteFunc(list.Services, func(v rest.ServiceHealth) bool { return v.Name != f.Service })
		list.Total = len(list.Services)
	}
	list.Meta = s.Meta(m, r)
	st := &State{meta: list.Meta, items: map[string][]byte{}}
	for _, v := range list.Services {
		if err := st.add(telemetry.HealthRow(v), v); err != nil {
			return nil, err
		}
	}
	st.delta = func(changed []json.RawMessage, removed []string) any {
		return map[string]any{"services": changed, "removed": removed, "now": list.Now, "baseline": list.Baseline, "meta": list.Meta}
	}
	return st.finish(list)
}

// edgeName identifies an edge.
type edgeName struct {
	Client           string           `json:"client"`
	Server           string           `json:"server"`
	ConnectionType   string           `json:"connection_type"`
	ClientType       string           `json:"client_type"`
	ServerType       string           `json:"server_type"`
	ClientDimensions *rest.Dimensions `json:"client_dimensions,omitempty"`
	ServerDimensions *rest.Dimensions `json:"server_dimensions,omitempty"`
	ServerSystem     *string          `json:"server_system,omitempty"`
}

func (s *Hub) liveMap(f Filter) (*State, error) {
	m, release := s.Hold(f.Dimensions)
	defer release()
	r, err := f.rangeOf(m)
	if err != nil {
		return nil, err
	}
	v, err := s.Services.Map(m, r)
	if err != nil {
		return nil, err
	}
	if f.Service != "" {
		v = around(v, f.Service)
	}
	st := &State{meta: v.Meta, items: map[string][]byte{}}
	for _, e := range v.Edges {
		key, err := json.Marshal(edgeName{e.Client, e.Server, e.ConnectionType, string(e.ClientType), string(e.ServerType),
			e.ClientDimensions, e.ServerDimensions, e.ServerSystem})
		if err != nil {
			return nil, err
		}
		if err := st.add(string(key), e); err != nil {
			return nil, err
		}
	}
	st.delta = func(changed []json.RawMessage, removed []string) any {
		names := make([]json.RawMessage, 0, len(removed))
		for _, k := range removed {
			names = append(names, json.RawMessage(k)) // the key is the name, encoded
		}
		return map[string]any{"nodes": v.Nodes, "edges": changed, "removed": names, "unpaired": v.Unpaired, "meta": st.meta}
	}
	return st.finish(v, v.Nodes, v.Unpaired)
}

// around keeps the edges that a service has a part in, and their ends.
func around(v rest.ServiceMap, service string) rest.ServiceMap {
	ends := map[string]bool{service: true}
	v.Edges = slices.DeleteFunc(v.Edges, func(e rest.Edge) bool {
		if e.Client != service && e.Server != service {
			return true
		}
		ends[e.Client], ends[e.Server] = true, true
		return false
	})
	v.Nodes = slices.DeleteFunc(v.Nodes, func(n rest.Node) bool { return !ends[n.Name] })
	return v
}

func (s *Hub) liveAlerts(f Filter) (*State, error) {
	m, release := s.Hold(nil)
	defer release()
	list, err := s.Alerts.Active(context.Background(), f.State, false)
	if err != nil {
		return nil, err
	}
	st := &State{meta: s.Meta(m, answer.Range{}), items: map[string][]byte{}}
	for _, a := range list {
		if err := st.add(a.Fingerprint, a); err != nil {
			return nil, err
		}
	}
	st.delta = func(changed []json.RawMessage, removed []string) any {
		return map[string]any{"alerts": changed, "removed": removed, "meta": st.meta}
	}
	return st.finish(rest.AlertList{Alerts: list, Meta: st.meta})
}

const (
	liveLines     = 100      // of the snapshot
	liveLogBudget = 16 << 20 // bytes that are searched for them
)

// liveLogs is the newest lines. A delta has the new lines; the client decides how many it keeps.
func (s *Hub) liveLogs(f Filter) (*State, error) {
	m, release := s.Hold(f.Dimensions)
	defer release()
	r, err := m.RangeOf(nil, nil, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	l := telemetry.LogQuery{Service: answer.TextOrNil(f.Service), Severity: answer.TextOrNil(f.Severity), Text: answer.TextOrNil(f.Text),
		Pattern: answer.TextOrNil(f.Pattern),
		TraceID: answer.TextOrNil(f.TraceID)}
	q, err := l.Filter()
	if err != nil {
		return nil, err
	}
	q.From, q.Limit, q.Budget = r.Start, liveLines, liveLogBudget
	res, err := m.Views.SearchLogs(q)
	if err != nil {
		return nil, err
	}
	st := &State{meta: s.Meta(m, r), items: map[string][]byte{}}
	out := rest.LogList{Logs: make([]rest.LogLine, 0, len(res.Lines)), Total: len(res.Lines), Meta: st.meta}
	for i := range res.Lines {
		line := telemetry.LogLine(&res.Lines[i])
		out.Logs = append(out.Logs, line)
		if err := st.add(res.Lines[i].Place(), line); err != nil {
			return nil, err
		}
	}
	st.delta = func(changed []json.RawMessage, _ []string) any {
		return map[string]any{"logs": changed, "meta": st.meta}
	}
	return st.finish(out)
}

func (s *Hub) livePipeline(Filter) (*State, error) {
	m, release := s.Hold(nil)
	defer release()
	p := s.Status.Read(m)
	st := &State{meta: p.Meta}
	st.delta = func([]json.RawMessage, []string) any { return p }
	return st.finish(p, p)
}
