package ingest

import (
	"errors"
	"time"

	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/views/model"
)

// marksOf says what the sources know of partitions. The watermark of an idle one follows the clock, and the views wait for one of which
// nothing was read yet. They wait neither for those of topics that are not read any more, nor for those that their topic has lost. known
// are the partitions that the state holds; reads reports whether a topic is read, nil: all are.
func marksOf(states func() []source.PartitionState, known []model.Progress, reads func(string) bool, now time.Time,
	lateness time.Duration) []model.Mark {
	if states == nil {
		return nil
	}
	var marks []model.Mark
	listed, absent := map[source.PartitionID]bool{}, map[string]bool{}
	for _, s := range states() {
		if s.Partition < 0 {
			absent[s.Topic] = s.Absent && errors.Is(s.Err, source.ErrNoTopic)
			continue
		}
		absent[s.Topic] = !s.Partial // what is not listed
		listed[source.PartitionID{Topic: s.Topic, Partition: s.Partition}] = true
		m := model.Mark{Topic: s.Topic, Partition: s.Partition}
		if s.Idle {
			m.Watermark = s.Watermark(now, lateness)
		}
		marks = append(marks, m)
	}
	for _, p := range known {
		if !listed[source.PartitionID{Topic: p.Topic, Partition: p.Partition}] &&
			(absent[p.Topic] || reads != nil && !reads(p.Topic)) {
			marks = append(marks, model.Mark{Topic: p.Topic, Partition: p.Partition, Gone: true})
		}
	}
	return marks
}
