package notify

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// messages is a configuration with receivers whose message is a template; good is one without harm.
func messages(b *inbox, texts map[string]string) string {
	out := "route: {receiver: good, group_wait: 0s, group_interval: 100ms, group_by: ['...'], routes: [{matchers: ['alertname=~\".+\"'], receiver: good, continue: true}"
	receivers := "receivers:\n- name: good\n  webhook_configs: [{url: '" + b.URL + "/good'}]\n"
	for name, text := range texts {
		out += ", {matchers: ['alertname=~\".+\"'], receiver: " + name + ", continue: true}"
		receivers += "- name: " + name + "\n  slack_configs: [{api_url: '" + b.URL + "/slack', channel: '#a', text: '" + text + "'}]\n"
	}
	return out + "]}\n" + receivers
}

// TestRunawayTemplates: a template that does not end, or makes too much, is one notification that failed, and counted; the others are sent.
func TestRunawayTemplates(t *testing.T) {
	double := `{{ $a := "0123456789012345678901234567890123456789" }}` +
		strings.Repeat(`{{ $a = printf "%s%s%s%s%s%s%s%s" $a $a $a $a $a $a $a $a }}`, 12) + `{{ $a }}`
	lists := `{{ $a := list "x" }}` + strings.Repeat(`{{ $a = list $a $a $a $a $a $a $a $a }}`, 12) + `{{ toJson $a }}`
	file := filepath.Join(t.TempDir(), "x.tmpl")
	require.NoError(t, writeFile(file, `{{ define "loop" }}{{ range .Alerts }}{{ template "loop" $ }}{{ end }}{{ end }}{{ define "nest" }}{{ range 100000 }}{{ range 100000 }}x{{ end }}{{ end }}{{ end }}`))
	for name, text := range map[string]string{
		"int":    `{{ range 1000000000 }}{{ range 1000000000 }}x{{ end }}{{ end }}`,
		"silent": `{{ range 1000000000 }}{{ end }}`,
		"double": double,
		"lists":  lists,
		"join": `{{ $a := join "" (stringSlice "` + strings.Repeat("x", 1000) + `") }}` +
			strings.Repeat(`{{ $a = join $a (stringSlice $a $a $a $a $a $a) }}`, 10) + `{{ $a }}`,
		"replace": `{{ $a := "aaaaaaaaaaaaaaaaaaaaaaaaaaa" }}` +
			strings.Repeat(`{{ $a = reReplaceAll "a" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" $a }}`, 8) + `{{ $a }}`,
		"base64": `{{ $a := "aaaaaaaaaaaaaaaaaaaaaaaaaaa" }}{{ range 200 }}{{ $a = base64encode $a }}{{ end }}{{ $a }}`,
		"width":  strings.Repeat(`{{ printf "%1000000d" 1 }}`, 100),
		"own":    `{{ define "me" }}{{ template "me" . }}{{ template "me" . }}{{ end }}{{ template "me" . }}`,
		"loop":   `{{ template "loop" . }}`,
		"nest":   `{{ template "nest" . }}`,
		"regexp": `{{ range 1000 }}{{ match "((a*)*)*((b{1,50}){1,15})" "` + strings.Repeat("a", 2000) + `" }}{{ end }}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newInbox(t)
			w := newWorld(t, "templates: ['"+file+"']\n"+messages(b, map[string]string{"bad": text}))
			notices, err := w.n.TestReceiver(context.Background(), "bad", time.Now())
			require.NoError(t, err)
			require.Len(t, notices, 1)
			require.Contains(t, notices[0].Error, "a template of the receiver")
			require.False(t, notices[0].Retry)
			w.fail("cart")
			b.await(t, "good: firing cart")
			require.Positive(t, testutil.ToFloat64(w.n.failed.WithLabelValues("template")))
		})
	}
}

type panicking struct{}

func (panicking) Notify(context.Context, ...*alert.Alert) (bool, error) { panic("planted") }
func (panicking) SendResolved() bool                                    { return true }

// TestPanickingIntegration: a panic is one notification that failed, and counted.
func TestPanickingIntegration(t *testing.T) {
	w := newWorld(t, config(newInbox(t), ""))
	d, err := newDrafts(nil, &url.URL{Scheme: "http", Host: "w"})
	require.NoError(t, err)
	list := d.safely(amconfig.Receiver{Name: "bad"},
		[]amnotify.Integration{amnotify.NewIntegration(panicking{}, panicking{}, "webhook", 0, "bad")}, w.n.failed, w.n.cfg.Logger)
	retry, err := list[0].Notify(context.Background())
	require.ErrorContains(t, err, "panicked: planted")
	require.False(t, retry)
	require.InDelta(t, 1, testutil.ToFloat64(w.n.failed.WithLabelValues("panic")), 0)
}

// TestTemplatesOfManyAlerts: the templates that come with Alertmanager stay within the bounds for thousands of alerts.
func TestTemplatesOfManyAlerts(t *testing.T) {
	d, err := newDrafts(nil, &url.URL{Scheme: "http", Host: "w"})
	require.NoError(t, err)
	data := manyAlerts(d, 3000)
	require.NoError(t, d.try([]string{`{{ template "slack.default.title" . }}`, `{{ template "email.default.html" . }}`,
		`{{ template "__text_alert_list" . }}`, `{{ .CommonAnnotations.nosuch }}`}, data))
}

func manyAlerts(d *drafts, n int) any {
	var list []*alert.Alert
	for i := range n {
		list = append(list, &alert.Alert{Alert: model.Alert{StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour),
			Labels: model.LabelSet{"alertname": "Many", "service_name": model.LabelValue(fmt.Sprint("service-", i)), "severity": "page"},
			Annotations: model.LabelSet{"summary": "something is wrong",
				"description": model.LabelValue(strings.Repeat("it goes on ", 50))}}})
	}
	return d.tmpl.Data("web", model.LabelSet{"alertname": "Many"}, nil, "", list...)
}
