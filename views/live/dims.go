package live

import "github.com/gaurav/watchingcat/views/model"

// DimensionValues are those of the version that goes on with the topic.
func (v *View) DimensionValues() []model.Dimension { return v.live.DimensionValues() }

// DimensionValues are those of the version that goes on with the topic.
func (l *Live) DimensionValues() []model.Dimension {
	v := l.View()
	defer v.Release()
	return v.DimensionValues()
}
