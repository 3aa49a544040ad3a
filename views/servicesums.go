package views

import (
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/sums"
)

// sumServices adds up the services of a segment.
func (s *Set) sumServices(g model.Segment, keys []*model.REDKey, f model.DimFilter, into map[sums.Name]*sums.Service) error {
	width, t := model.LevelSeconds[g.Level], &s.red.Levels[g.Level]
	for start := max(model.Ceil(g.From, width), t.Oldest-t.Oldest%width); start < min(g.To, s.head1()); start += width {
		list, err := s.sumBucket(sums.Bucket{Level: g.Level, Start: start}, t.Changed[start], keys)
		if err != nil {
			return err
		}
		sums.AddServices(into, list, width, f)
	}
	return nil
}

// sumBucket returns the sums of a bucket that changed last at some checkpoint.
func (s *Set) sumBucket(b sums.Bucket, changed uint64, keys []*model.REDKey) ([]sums.Service, error) {
	if list, ok := s.sums.Get(b, changed); ok {
		return list, nil
	}
	list, err := s.sumCells(model.Segment{Level: b.Level, Range: model.Range{From: b.Start, To: b.Start + model.LevelSeconds[b.Level]}},
		keys)
	if err != nil {
		return nil, err
	}
	s.sums.Put(b, s.frontier.Seq, list)
	return list, nil
}

func (s *Set) sumCells(g model.Segment, keys []*model.REDKey) (list []sums.Service, err error) {
	place, at := map[sums.Name]int{}, make([]int, len(keys)) // place in list, plus one
	err = s.red.Each(s.kv, []model.Segment{g}, cells.Pick{Has: func(id uint32) bool { return int(id) < len(keys) }},
		func(_ cells.BucketAt, id uint32, c *model.REDCounts) error {
			if at[id] == 0 {
				name := sums.Name{Name: keys[id].Service, Dims: keys[id].Dims}
				if place[name] == 0 {
					list = append(list, sums.Service{Of: name})
					place[name] = len(list)
				}
				at[id] = place[name]
			}
			list[at[id]-1].Add(keys[id], c)
			return nil
		})
	return list, err
}
