package notify

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/notifier"

	"github.com/gaurav/watchingcat/evaluator/alert"
)

// step sends what is due, and every minute all that fires or has resolved lately.
func (f *forwarder) step(now time.Time) error {
	if f == nil || len(f.manager.Alertmanagers())+len(f.manager.DroppedAlertmanagers()) == 0 { // the manager begins
		return nil
	}
	f.send(f.due, now)
	f.due = nil
	f.mu.Lock()
	every := resendEvery
	if f.fails > 0 {
		every = resendFailed
	}
	again := now.Sub(f.resent) >= every || now.Before(f.resent)
	if again {
		f.fails = 0
	}
	f.mu.Unlock()
	if !again {
		return nil
	}
	f.resent = now
	return f.resend(now)
}

func (f *forwarder) resend(now time.Time) error {
	var list []alert.Alert
	for _, a := range f.n.firing() { // with its annotations as they are now
		if x := f.alerts[hashOf(a.Labels)]; x != nil && x.At.IsZero() {
			a.State = alert.StateFiring
			list = append(list, a)
		}
	}
	gone := map[uint64]*forwarded{}
	var resolved []uint64
	for h, x := range f.alerts {
		switch {
		case x.At.IsZero():
		case now.Sub(x.At) > resolvedResent:
			gone[h] = nil
		default:
			resolved = append(resolved, h)
		}
	}
	slices.SortFunc(resolved, func(a, b uint64) int { return f.alerts[b].At.Compare(f.alerts[a].At) })
	if over := len(resolved) - maxResolved; over > 0 {
		f.cut.Add(float64(over))
		for _, h := range resolved[maxResolved:] {
			gone[h] = nil
		}
		resolved = resolved[:maxResolved]
	}
	for _, h := range resolved {
		list = append(list, f.alerts[h].Alert)
	}
	f.send(list, now)
	return f.keep(gone)
}

func (f *forwarder) send(list []alert.Alert, now time.Time) {
	out := make([]*notifier.Alert, 0, len(list))
	for _, a := range list {
		x := f.n.alertOf(a, now)
		annotations := map[string]string{}
		for name, v := range x.Annotations {
			annotations[string(name)] = string(v)
		}
		s := &notifier.Alert{Labels: a.Labels, Annotations: labels.FromMap(annotations), StartsAt: x.StartsAt, EndsAt: x.EndsAt,
			GeneratorURL: x.GeneratorURL}
		if a.State == alert.StateFiring {
			s.EndsAt = now.Add(firingEnds)
		}
		out = append(out, s)
	}
	if len(out) > 0 {
		f.manager.Send(out...)
	}
}

// do sends one request and notes how it went.
func (f *forwarder) do(ctx context.Context, client *http.Client, req *http.Request) (*http.Response, error) {
	f.mu.Lock()
	conf := f.conf
	f.mu.Unlock()
	switch {
	case conf.Transport != nil && conf.byURL[req.URL.Host]:
		client = &http.Client{Transport: conf.Transport}
	case client == nil:
		client = http.DefaultClient
	}
	//nolint:gosec // the operator names the Alertmanagers
	res, err := client.Do(req.WithContext(ctx))
	now := time.Now()
	problem := ""
	switch {
	case err != nil:
		problem = err.Error()
	case res.StatusCode/100 != 2:
		b, _ := io.ReadAll(io.LimitReader(res.Body, 500)) // as much as comes
		problem = cmp.Or(strings.TrimSpace(res.Status+" "+string(b)), res.Status)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	to := req.URL.Redacted()
	s := f.state[to]
	if s == nil {
		s = &AlertmanagerState{URL: to}
		f.state[to] = s
	}
	if problem == "" {
		s.LastSuccess = now
	} else {
		s.LastFailure, s.LastError = now, problem
		f.fails++
	}
	return res, err
}

func (f *forwarder) close() {
	if f == nil {
		return
	}
	f.manager.Stop()
	<-f.ended
}
