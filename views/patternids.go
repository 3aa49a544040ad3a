package views

import (
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/drain"
)

// clustersOf are the clusters that a dictionary has.
func clustersOf(d *cells.Dict) map[drain.ClusterID]bool {
	out := map[drain.ClusterID]bool{}
	d.EachKey(func(key string) {
		if l := cells.SplitLabels(key); len(l) > 1 {
			if id, ok := drain.ParseClusterID(l[1]); ok {
				out[id] = true
			}
		}
	})
	return out
}
