package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
)

// Watch calls found for each topic that matches a pattern, once, as they appear, until ctx ends; before that for those that are known from
// before. first says that it is among those that the first answer of the brokers had; then looked is called, once. What fails is tried again
// and is a state of the pattern, as is that no topic matches.
func (s *Source) Watch(ctx context.Context, t kafka.Topics, known []string, found func(topic string, first bool) error, looked func() error) {
	w := watch{s: s, t: t, found: found, looked: looked}
	w.set(fmt.Errorf("no topic that matches %s is known yet: %w", t, ErrNoTopic))
	cl, err := kgo.NewClient(append(s.opts[:len(s.opts):len(s.opts)], s.c.Kafka.Counted(s.c.clientName(t.String()))...)...)
	if err != nil {
		w.set(err)
		return
	}
	defer cl.Close()
	w.adm = kadm.NewClient(cl)
	for _, topic := range known {
		if err := w.add(topic, true); err != nil {
			w.set(err)
		}
	}
	tick := time.NewTicker(s.c.Discover)
	defer tick.Stop()
	for {
		if err := w.look(ctx); ctx.Err() == nil {
			w.set(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// watch is one pattern.
type watch struct {
	s      *Source
	t      kafka.Topics
	adm    *kadm.Client
	found  func(topic string, first bool) error
	looked func() error
	topics []string // that found took
	later  bool     // the brokers answered before
}

func (w *watch) look(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, max(5*time.Second, 2*w.s.c.Refresh))
	defer cancel()
	list, err := w.t.Find(ctx, w.adm)
	if err != nil && len(list) == 0 {
		return err
	}
	errs := []error{err}
	for _, topic := range list {
		errs = append(errs, w.add(topic, !w.later))
	}
	if !w.later {
		if err := w.looked(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		w.later = true
	}
	if len(w.topics) == 0 {
		errs = append(errs, fmt.Errorf("no topic matches %s: %w", w.t, ErrNoTopic))
	}
	return errors.Join(errs...)
}

func (w *watch) add(topic string, first bool) error {
	if slices.Contains(w.topics, topic) {
		return nil
	}
	if len(w.topics) >= kafka.MaxTopics {
		return fmt.Errorf("%w: %s is not read beside %d others of %s, deleted ones included: restart, or make the pattern narrower",
			kafka.ErrManyTopics, topic, len(w.topics), w.t)
	}
	if err := w.found(topic, first); err != nil {
		return err
	}
	w.topics = append(w.topics, topic)
	w.s.c.Logger.Info().Str("topic", topic).Stringer("pattern", w.t).Msg("the topic matches and is read")
	return nil
}

// set notes what is wrong; it is logged when it changes.
func (w *watch) set(err error) {
	w.s.mu.Lock()
	old := w.s.looks[w.t.String()]
	w.s.looks[w.t.String()] = err
	w.s.mu.Unlock()
	if err != nil && (old == nil || old.Error() != err.Error()) {
		w.s.c.Logger.Warn().Err(err).Msg("looking for topics; trying again")
	}
}
