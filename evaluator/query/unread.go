package query

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// unread warns of a time that was never read.
type unread struct {
	mint, maxt, at int64
	why            string
}

func (s *Sources) unread(mint, maxt int64) (unread, bool) {
	if s.Unread == nil {
		return unread{}, false
	}
	at, why := s.Unread()
	if at.IsZero() || mint >= at.UnixMilli() {
		return unread{}, false
	}
	return unread{mint, maxt, at.UnixMilli(), why}, true
}

func (u unread) Close() error { return nil }

func (u unread) Select(ctx context.Context, _ bool, hints *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	mint := u.mint
	if hints != nil {
		mint = max(mint, hints.Start)
		if l := lookbackOf(ctx); l > 0 && hints.Range == 0 && hints.Start+l > u.at {
			return storage.EmptySeriesSet()
		}
	}
	if mint >= u.at {
		return storage.EmptySeriesSet()
	}
	return warningSet{storage.EmptySeriesSet(), u.warnings()}
}

func (u unread) warnings() annotations.Annotations {
	return annotations.New().Add(errors.New(u.why))
}

func (u unread) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, u.warnings(), nil
}

func (u unread) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, u.warnings(), nil
}

// warningSet is a set with warnings.
type warningSet struct {
	storage.SeriesSet
	warnings annotations.Annotations
}

func (s warningSet) Warnings() annotations.Annotations { return s.warnings }
