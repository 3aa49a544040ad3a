package notify

import (
	"context"
	"fmt"
	html "html/template"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	text "text/template"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaurav/watchingcat/evaluator/expand"
)

// Templates of notifications are programs, and Alertmanager executes them without a bound: a loop that does not end would take all memory.
//
// The simple version: before an integration notifies, the templates of its receiver are expanded here, by an account of what they do. One
// that overdraws fails its notification, and Alertmanager never executes it. Templates that fail otherwise are left to Alertmanager, which
// shows what is wrong with them.

// drafts are the templates of a configuration as they are tried.
type drafts struct {
	named *text.Template // those of the files, accounted
	tmpl  *template.Template
}

// newDrafts reads the files of templates.
func newDrafts(paths []string, external *url.URL) (*drafts, error) {
	d := &drafts{}
	var plain *text.Template
	tmpl, err := template.FromGlobs(paths, func(t *text.Template, _ *html.Template) { plain = t })
	if err != nil {
		return nil, err
	}
	d.tmpl, tmpl.ExternalURL = tmpl, external
	d.named = text.New("").Option("missingkey=zero").Funcs(text.FuncMap(template.DefaultFuncs)).Funcs(expand.New().Functions())
	for _, t := range plain.Templates() {
		if t.Tree == nil || t.Root == nil || t.Name() == "" {
			continue
		}
		if _, err := d.named.AddParseTree(t.Name(), expand.Accounted(t.Tree)); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// try expands texts with data; its error says which is beyond a bound.
func (d *drafts) try(texts []string, data any) error {
	x := expand.New()
	for _, s := range texts {
		t, err := d.named.Clone()
		if err != nil {
			return fmt.Errorf("notify: templates: %w", err)
		}
		parsed, err := text.New("x").Funcs(text.FuncMap(template.DefaultFuncs)).Parse(s)
		if err != nil || parsed.Tree == nil || parsed.Root == nil {
			continue // Alertmanager shows it
		}
		t.Funcs(x.Functions())
		for _, p := range parsed.Templates() { // those that it defines itself too
			if p.Tree != nil && p.Root != nil {
				if _, err := t.AddParseTree(p.Name(), expand.Accounted(p.Tree)); err != nil {
					return fmt.Errorf("notify: templates: %w", err)
				}
			}
		}
		_ = t.ExecuteTemplate(io.Discard, "x", data) // Alertmanager shows what else is wrong
		if bound := x.Err(); bound != nil {
			return fmt.Errorf("a template of the receiver is %w", bound)
		}
	}
	return nil
}

// templatesIn are the texts within a receiver's configuration that have actions.
func templatesIn(v reflect.Value, out []string) []string {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); strings.Contains(s, "{{") {
			out = append(out, s)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			out = templatesIn(v.Elem(), out)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out = templatesIn(v.Field(i), out)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			out = templatesIn(v.Index(i), out)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			out = templatesIn(it.Value(), templatesIn(it.Key(), out))
		}
	}
	return out
}

// textsOf are the templates of one integration of a receiver: of the element of its list in the configuration.
func textsOf(rc amconfig.Receiver, i *amnotify.Integration) []string {
	v := reflect.ValueOf(rc)
	for k := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(k).Tag.Get("yaml"), ",")
		if list := v.Field(k); name == i.Name()+"_configs" && i.Index() < list.Len() {
			return templatesIn(list.Index(i.Index()), nil)
		}
	}
	return templatesIn(v, nil) // one that is not known: all of the receiver
}

// safe is an integration whose templates are tried first, and whose panics are errors.
type safe struct {
	amnotify.Integration
	failed   *prometheus.CounterVec // by reason
	logger   *slog.Logger
	receiver string
	drafts   *drafts
	texts    []string
}

// safely makes the integrations of a receiver safe; failed counts what they refuse to send.
func (d *drafts) safely(rc amconfig.Receiver, list []amnotify.Integration, failed *prometheus.CounterVec,
	logger *slog.Logger) []amnotify.Integration {
	out := make([]amnotify.Integration, len(list))
	for k := range list {
		i := list[k]
		out[k] = amnotify.NewIntegration(&safe{i, failed, logger, rc.Name, d, textsOf(rc, &i)}, &i, i.Name(), i.Index(), rc.Name)
	}
	return out
}

// Notify implements Alertmanager's notify.Notifier.
func (s *safe) Notify(ctx context.Context, alerts ...*alert.Alert) (retry bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.failed.WithLabelValues("panic").Inc()
			retry, err = false, fmt.Errorf("notifying %s by %s panicked: %v: check the templates of the receiver\n%s", s.receiver, s.Name(),
				v, debug.Stack())
		}
	}()
	data := amnotify.GetTemplateData(ctx, s.drafts.tmpl, alerts, s.logger)
	texts := slices.Clip(s.texts)
	for _, v := range data.RouteLabels {
		if strings.Contains(v, "{{") {
			texts = append(texts, v)
		}
	}
	if err := s.drafts.try(texts, data); err != nil {
		s.failed.WithLabelValues("template").Inc()
		return false, fmt.Errorf("notifying %s by %s: %w", s.receiver, s.Name(), err)
	}
	return s.Integration.Notify(ctx, alerts...)
}
