package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// inbox is the demo's webhook receiver: it shows the notifications that would otherwise have gone to a pager.
type inbox struct {
	out io.Writer
	l   net.Listener

	mu   sync.Mutex
	list []notice // newest first
}

const inboxKeeps = 100

type notice struct {
	At     time.Time     `json:"at"`
	Status string        `json:"status"`
	Alerts []noticeAlert `json:"alerts"`
}

type noticeAlert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
}

// NewInbox returns an inbox that shows notifications in out too.
func NewInbox(out io.Writer) *inbox { return &inbox{out: out} }

// Listen takes addr, or any free port when it is taken, and returns what it took.
func (in *inbox) Listen(addr string) (_ string, err error) {
	if in.l, err = net.Listen("tcp", addr); err != nil {
		if in.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", fmt.Errorf("webhook inbox: %w", err)
		}
	}
	return in.l.Addr().String(), nil
}

// Serve answers until ctx ends.
func (in *inbox) Serve(ctx context.Context) error {
	srv := &http.Server{Handler: in, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(in.l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("webhook inbox: %w", err)
	}
	return nil
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		in.receive(w, r)
		return
	}
	in.mu.Lock()
	list := append([]notice{}, in.list...)
	in.mu.Unlock()
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"notifications": list})
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = inboxPage.Execute(w, list)
}

func (in *inbox) receive(w http.ResponseWriter, r *http.Request) {
	n := notice{At: time.Now().UTC()}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&n); err != nil {
		http.Error(w, "not an Alertmanager webhook message: "+err.Error(), http.StatusBadRequest)
		return
	}
	n.At = time.Now().UTC()
	in.mu.Lock()
	in.list = append([]notice{n}, in.list[:min(len(in.list), inboxKeeps-1)]...)
	in.mu.Unlock()
	for _, a := range n.Alerts {
		fmt.Fprintf(in.out, "%s  %-8s  %s: %s\n", n.At.Local().Format("15:04:05"), a.Status, a.Labels["alertname"],
			a.Annotations["summary"])
	}
}

var inboxPage = template.Must(template.New("inbox").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2"><meta name="color-scheme" content="light dark">
<title>Webhook inbox</title>
<style>body{font:14px/1.4 system-ui,sans-serif;margin:24px;max-width:900px}td,th{padding:4px 12px 4px 0;text-align:left;border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent);vertical-align:top}td{font-variant-numeric:tabular-nums}</style>
<h1>Webhook inbox</h1>
<p>What WatchingCat has sent to this demo's receiver, newest first.</p>
<table><tr><th>Time (UTC)<th>Status<th>Alert<th>Summary</tr>
{{range .}}{{$at := .At}}{{range .Alerts}}<tr><td>{{$at.Format "15:04:05"}}<td>{{if eq .Status "firing"}}&#9650; firing{{else}}&#10003; resolved{{end}}<td>{{.Labels.alertname}}<td>{{.Annotations.summary}}</tr>{{end}}
{{else}}<tr><td colspan="4">Nothing yet.</tr>{{end}}
</table></html>
`))
