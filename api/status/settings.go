package status

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
)

// A Setting is one value in force, none of them secret.
type Setting struct{ Group, Name, Value, Default, Help string }

// A Store is a raw store as it is set up. Probe asks it for something small; nil: it cannot be asked.
type Store struct {
	Name, Address string // without credentials
	Setting       string // by which the address is set
	Probe         func(ctx context.Context) error
}

// Installation is what the settings page shows of this process.
type Installation struct {
	Started  time.Time // by the wall clock
	Settings []Setting
	Stores   []Store
}

// probeTimeout bounds a test of a store.
const probeTimeout = 10 * time.Second

// GetSettings implements rest.StrictServerInterface.
func (s *Status) GetSettings(context.Context, rest.GetSettingsRequestObject) (rest.GetSettingsResponseObject, error) {
	out := rest.GetSettings200JSONResponse{Settings: []rest.Setting{}, Backends: []rest.BackendSetting{},
		About: rest.About{Version: s.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, StartedAt: answer.TimeOrNil(s.Installation.Started)}}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, b := range info.Settings {
			if b.Key == "vcs.revision" {
				out.About.Revision = answer.TextOrNil(b.Value)
			}
		}
	}
	for _, v := range s.Installation.Settings {
		out.Settings = append(out.Settings, rest.Setting{Group: rest.SettingGroup(v.Group), Name: v.Name, Value: v.Value, Default: v.Default, Help: v.Help})
	}
	states := map[string]rest.Backend{}
	for _, b := range s.backends() {
		states[string(b.Name)] = b
	}
	for _, b := range s.Installation.Stores {
		out.Backends = append(out.Backends, rest.BackendSetting{Name: rest.BackendSettingName(b.Name), Address: answer.TextOrNil(b.Address), Setting: b.Setting,
			State: stateOf(states[b.Name].State), Error: states[b.Name].Error})
	}
	return out, nil
}

// stateOf is the state of a store; of one that is not set up, or that no request has asked, none.
func stateOf(s rest.BackendState) *string {
	return answer.TextOrNil(string(s))
}

// TestBackend implements rest.StrictServerInterface.
func (s *Status) TestBackend(ctx context.Context, q rest.TestBackendRequestObject) (rest.TestBackendResponseObject, error) {
	for _, b := range s.Installation.Stores {
		if b.Name != q.Name || b.Probe == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		began := time.Now()
		err := b.Probe(ctx)
		out := rest.TestBackend200JSONResponse{Ok: err == nil, TookMs: answer.Millis(time.Since(began))}
		if err != nil {
			out.Error = answer.TextOrNil(answer.ValidText(err.Error()))
		}
		return out, nil
	}
	return nil, answer.Advise(answer.Problemf(answer.ErrNotFound, "", "%s is not set up", q.Name), "GET /api/v1/settings lists the stores and their settings.")
}
