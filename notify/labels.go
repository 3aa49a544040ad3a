package notify

import (
	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// LabelSet is l in Alertmanager's form.
func LabelSet(l labels.Labels) model.LabelSet {
	out := make(model.LabelSet, l.Len())
	l.Range(func(x labels.Label) { out[model.LabelName(x.Name)] = model.LabelValue(x.Value) })
	return out
}

// hashOf is what Alertmanager's notification log knows an alert by.
func hashOf(l labels.Labels) uint64 {
	var b []byte
	l.Range(func(x labels.Label) {
		b = append(b, x.Name...)
		b = append(b, '\xff')
		b = append(b, x.Value...)
		b = append(b, '\xff')
	})
	return xxhash.Sum64(b)
}
