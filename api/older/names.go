package older

import (
	"context"
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/storage/raw"
)

// Names of services and operations, and the calls between services, of the time before the views: the store of raw traces lists them.

// ask asks the store of raw traces for what lies before the views; without one, and where the range does not begin before, ask is not
// called.
func (s *Traces) ask(ctx context.Context, m answer.Moment, r answer.Range, p *Provenance, what string,
	ask func(from, to time.Time) error) error {
	p.sources = []string{answer.SourceView}
	to, ok := m.BeforeViews(r)
	store := s.Store
	if !ok || store == nil {
		return nil
	}
	if err := ask(r.Start, to); err != nil {
		if ctx.Err() != nil {
			return err
		}
		p.fail(err, fmt.Sprintf("%s from before %s are missing", what, to.UTC().Format(time.RFC3339)))
		return nil
	}
	p.answered(store.Name(), r.Start)
	return nil
}

// Services are the names of services that the store knows, where a range begins before the views.
func (s *Traces) Services(ctx context.Context, m answer.Moment, r answer.Range, p *Provenance) (list []string, err error) {
	err = s.ask(ctx, m, r, p, "services", func(time.Time, time.Time) (err error) {
		list, err = s.Store.Services(ctx)
		for i := range list {
			list[i] = answer.ValidText(list[i])
		}
		return err
	})
	return list, err
}

// Operations are the operations of a service that the store knows, where a range begins before the views.
func (s *Traces) Operations(ctx context.Context, m answer.Moment, r answer.Range, service string,
	p *Provenance) (list []raw.Operation, err error) {
	err = s.ask(ctx, m, r, p, "operations", func(time.Time, time.Time) (err error) {
		list, err = s.Store.Operations(ctx, service)
		for i := range list {
			list[i] = raw.Operation{Name: answer.ValidText(list[i].Name), Kind: answer.ValidText(list[i].Kind)}
		}
		return err
	})
	return list, err
}

// Calls are the calls between services that the store counted in the part of a range before the views.
func (s *Traces) Calls(ctx context.Context, m answer.Moment, r answer.Range, p *Provenance) (list []raw.Dependency, err error) {
	err = s.ask(ctx, m, r, p, "calls between services", func(from, to time.Time) (err error) {
		list, err = s.Store.Dependencies(ctx, from, to)
		for i := range list {
			list[i].Parent, list[i].Child = answer.ValidText(list[i].Parent), answer.ValidText(list[i].Child)
		}
		return err
	})
	return list, err
}
