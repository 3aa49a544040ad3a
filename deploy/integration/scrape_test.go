//go:build integration

package integration

import (
	"context"
	"errors"
	"io"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// scrape reads a Prometheus text page.
func scrape(ctx context.Context, url string) ([]sample, error) {
	var text string
	if err := get(ctx, url, &text); err != nil {
		return nil, err
	}
	return parse(text)
}

func parse(text string) ([]sample, error) {
	p, err := textparse.New([]byte(text), "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return nil, err
	}
	var list []sample
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, v := p.Series()
		var l labels.Labels
		p.Labels(&l)
		list = append(list, sample{l.Get(labels.MetricName), l.Map(), v})
	}
}
