package api

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// dimensioned is a Reader that knows which dimensions its keys have.
type dimensioned interface{ DimensionValues() []model.Dimension }

func dimensionsOf(r views.Reader) []model.Dimension {
	if d, ok := r.(dimensioned); ok {
		return d.DimensionValues()
	}
	return nil
}

// filterParam is the parameter of a dimension: filter[NAME].
func filterParam(param string) (name string, ok bool) {
	name, ok = strings.CutPrefix(param, "filter[")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, "]")
}

// dimFilter reads the filter of a request.
func dimFilter(query url.Values) model.DimFilter {
	var f model.DimFilter
	for param, v := range query {
		if name, ok := filterParam(param); ok && len(v) > 0 {
			if f == nil {
				f = model.DimFilter{}
			}
			f[name] = v[0]
		}
	}
	return f
}

// checkFilter refuses a filter by what is no dimension.
func (s *Server) checkFilter(f model.DimFilter) error {
	if len(f) == 0 {
		return nil
	}
	var names []string
	for _, d := range dimensionsOf(s.cfg.Views) {
		names = append(names, d.Name)
	}
	for name := range f {
		if !slices.Contains(names, name) {
			advice := "No dimensions are configured: set WATCHINGCAT_DIMENSIONS, and run a replay if there are views already."
			if len(names) > 0 {
				advice = "The dimensions are " + strings.Join(names, ", ") + "."
			}
			return advise(problemf(errBadRequest, "unknown_dimension", "filter: %q is not a dimension", name), advice)
		}
	}
	return nil
}

// dims are dimensions as answers show them.
func dims(d model.Dims) *rest.Dimensions {
	m := d.Map()
	if m == nil {
		return nil
	}
	return new(rest.Dimensions(m))
}

// ListDimensions implements rest.StrictServerInterface.
func (s *Server) ListDimensions(ctx context.Context, _ rest.ListDimensionsRequestObject) (rest.ListDimensionsResponseObject, error) {
	m := s.moment(ctx)
	out := rest.ListDimensions200JSONResponse{Dimensions: []rest.Dimension{}, Meta: s.meta(m, timeRange{})}
	var names []string
	for _, d := range dimensionsOf(m.views) {
		names = append(names, d.Name)
		out.Dimensions = append(out.Dimensions, rest.Dimension{Name: d.Name, Label: model.LabelOf(d.Name), Values: d.Values})
	}
	out.Pending = s.cfg.Dimensions != nil && !slices.Equal(names, s.cfg.Dimensions)
	return out, nil
}
