package api

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage"
)

// ListAudit implements rest.StrictServerInterface.
func (s *Server) ListAudit(_ context.Context, q rest.ListAuditRequestObject) (rest.ListAuditResponseObject, error) {
	out := []rest.AuditEntry{}
	if s.cfg.Store != nil {
		list, err := storage.Objects(s.cfg.Store, storage.KindAudit)
		if err != nil {
			return nil, err
		}
		for _, o := range slices.Backward(list) {
			var a storage.AuditEntry
			if err := json.Unmarshal(o.Value, &a); err != nil {
				continue // of a version that wrote another form
			}
			if q.Params.Kind != nil && string(*q.Params.Kind) != a.Kind {
				continue
			}
			out = append(out, rest.AuditEntry{Id: a.ID, Time: a.Time, By: a.By, Action: a.Action, Kind: a.Kind, Object: a.Object, Before: rawOrNil(a.Before), After: rawOrNil(a.After)})
		}
	}
	list, next, err := page(out, limitOf(q.Params.Limit), q.Params.Next, func(a rest.AuditEntry) string { return falling(a.Id) })
	if err != nil {
		return nil, err
	}
	return rest.ListAudit200JSONResponse{Audit: list, Total: len(list), Next: next}, nil
}

func rawOrNil(b json.RawMessage) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// falling turns the order of ids around, for a list that is newest first.
func falling(id string) string {
	b := []byte(id)
	for i := range b {
		b[i] = 0xff - b[i]
	}
	return string(b)
}
