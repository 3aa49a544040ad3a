package api

import (
	"context"
	"slices"
	"strings"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views/model"
)

// checkFilter refuses a filter by what is no dimension.
func (s *Server) checkFilter(f model.DimFilter) error {
	if len(f) == 0 {
		return nil
	}
	var names []string
	for _, d := range answer.DimensionsOf(s.cfg.Views) {
		names = append(names, d.Name)
	}
	for name := range f {
		if !slices.Contains(names, name) {
			advice := "No dimensions are configured: set WATCHINGCAT_DIMENSIONS, and run a replay if there are views already."
			if len(names) > 0 {
				advice = "The dimensions are " + strings.Join(names, ", ") + "."
			}
			return answer.Advise(answer.Problemf(answer.ErrBadRequest, "unknown_dimension", "filter: %q is not a dimension", name), advice)
		}
	}
	return nil
}

// ListDimensions implements rest.StrictServerInterface.
func (s *Server) ListDimensions(ctx context.Context, _ rest.ListDimensionsRequestObject) (rest.ListDimensionsResponseObject, error) {
	m := s.Moment(ctx)
	out := rest.ListDimensions200JSONResponse{Dimensions: []rest.Dimension{}, Meta: s.Meta(m, answer.Range{})}
	var names []string
	for _, d := range answer.DimensionsOf(m.Views) {
		names = append(names, d.Name)
		out.Dimensions = append(out.Dimensions, rest.Dimension{Name: d.Name, Label: model.LabelOf(d.Name), Values: d.Values})
	}
	out.Pending = s.cfg.Dimensions != nil && !slices.Equal(names, s.cfg.Dimensions)
	return out, nil
}
