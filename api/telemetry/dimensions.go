package telemetry

import (
	"context"
	"slices"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views/model"
)

// ListDimensions implements rest.StrictServerInterface.
func (s *Services) ListDimensions(ctx context.Context, _ rest.ListDimensionsRequestObject) (rest.ListDimensionsResponseObject, error) {
	m := s.Moment(ctx)
	out := rest.ListDimensions200JSONResponse{Dimensions: []rest.Dimension{}, Meta: s.Meta(m, answer.Range{})}
	var names []string
	for _, d := range answer.DimensionsOf(m.Views) {
		names = append(names, d.Name)
		out.Dimensions = append(out.Dimensions, rest.Dimension{Name: d.Name, Label: model.LabelOf(d.Name), Values: d.Values})
	}
	out.Pending = s.Configured != nil && !slices.Equal(names, s.Configured)
	return out, nil
}
