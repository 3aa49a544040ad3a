package answer

import (
	"net/url"
	"strings"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// dimensioned is a Reader that knows which dimensions its keys have.
type dimensioned interface{ DimensionValues() []model.Dimension }

// DimensionsOf are the dimensions that the keys of a reader have, with their values; none where it has no dimensions.
func DimensionsOf(r views.Reader) []model.Dimension {
	if d, ok := r.(dimensioned); ok {
		return d.DimensionValues()
	}
	return nil
}

// FilterParam is the dimension that a query parameter of the form filter[NAME] names; false for any other parameter.
func FilterParam(param string) (name string, ok bool) {
	name, ok = strings.CutPrefix(param, "filter[")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, "]")
}

// DimFilter reads the filter of a request by dimensions; nil without one.
func DimFilter(query url.Values) model.DimFilter {
	var f model.DimFilter
	for param, v := range query {
		if name, ok := FilterParam(param); ok && len(v) > 0 {
			if f == nil {
				f = model.DimFilter{}
			}
			f[name] = v[0]
		}
	}
	return f
}

// Dims are dimensions as answers show them; nil without any.
func Dims(d model.Dims) *rest.Dimensions {
	m := d.Map()
	if m == nil {
		return nil
	}
	return new(rest.Dimensions(m))
}
