package views

import "github.com/gaurav/watchingcat/views/model"

// Dimensions are what the Set reads records by.
func (s *Set) Dimensions() *model.Dimensions { return s.names.Dimensions }

// DimensionValues are the dimensions of the Set and the values that it has seen, in the order of the configuration.
func (s *Set) DimensionValues() []model.Dimension {
	out, values := []model.Dimension{}, s.names.Values()
	for _, name := range s.names.Dimensions.Names() {
		out = append(out, model.Dimension{Name: name, Values: values[name]})
	}
	return out
}
