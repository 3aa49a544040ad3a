package caller

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage"
)

// Auditor answers for the audit trail, and writes changes of things that are no objects into it.
type Auditor struct {
	*answer.Writer
	Store   storage.KV     // nil: there is no trail
	Objects storage.Editor // nil: nothing is written
	Trail   *Trail
	Now     func() time.Time
}

// ListAudit implements rest.StrictServerInterface.
func (s *Auditor) ListAudit(_ context.Context, q rest.ListAuditRequestObject) (rest.ListAuditResponseObject, error) {
	out := []rest.AuditEntry{}
	if s.Store != nil {
		for part := range storage.Trails {
			list, err := storage.Objects(s.Store, part)
			if err != nil {
				return nil, err
			}
			for _, o := range list {
				var a storage.AuditEntry
				if err := json.Unmarshal(o.Value, &a); err != nil {
					continue // of a version that wrote another form
				}
				if q.Params.Kind != nil && string(*q.Params.Kind) != a.Kind {
					continue
				}
				out = append(out, auditAnswer(&a))
			}
		}
	}
	slices.SortFunc(out, func(a, b rest.AuditEntry) int { return strings.Compare(b.Id, a.Id) })
	list, next, err := answer.Page(out, answer.LimitOf(q.Params.Limit), q.Params.Next,
		func(a rest.AuditEntry) string { return falling(a.Id) })
	if err != nil {
		return nil, err
	}
	return rest.ListAudit200JSONResponse{Audit: list, Total: len(list), Next: next}, nil
}

func auditAnswer(a *storage.AuditEntry) rest.AuditEntry {
	out := rest.AuditEntry{Id: a.ID, Time: a.Time, By: a.By, Action: a.Action, Kind: a.Kind, Object: a.Object, Before: rawOrNil(a.Before),
		After: rawOrNil(a.After), Address: answer.TextOrNil(a.Address), Last: a.Last}
	if a.Count > 0 {
		out.Count = &a.Count
	}
	return out
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

// auditTimeout bounds the writing of an entry about something that has happened already.
const auditTimeout = 10 * time.Second

// Audit writes what has been done to something that is no stored object into the audit trail. It has been done: where that cannot be
// written down, the log has it.
func (s *Auditor) Audit(ctx context.Context, action, kind, id string) {
	if s.Objects == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	e := storage.Edit{By: Name(ctx), Action: action, Objects: []storage.Object{{Kind: kind, ID: id}}}
	if err := s.Objects.Write(ctx, e, s.Now()); err != nil {
		s.Logger.Error().Err(err).Str("by", e.By).Str("action", action).Str("kind", kind).Str("object", id).
			Msg("the audit trail lacks an entry")
	}
}

// FromOutside audits silences that are made, changed and ended through Alertmanager's API, and of alerts that others send to it.
func (s *Auditor) FromOutside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ends := strings.CutPrefix(r.URL.Path, "/alertmanager/api/v2/silence/")
		makes := r.URL.Path == "/alertmanager/api/v2/silences" && r.Method == http.MethodPost
		sends := r.URL.Path == "/alertmanager/api/v2/alerts" && r.Method == http.MethodPost
		if !makes && !sends && (!ends || r.Method != http.MethodDelete) {
			next.ServeHTTP(w, r)
			return
		}
		var answer bytes.Buffer
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		ww.Tee(&answer)
		next.ServeHTTP(ww, r)
		switch {
		case ww.Status() >= 300:
		case sends: // again and again as long as they fire: who does so is audited once an hour
			s.Trail.Happened(Event{Action: "send", Kind: storage.KindAlert, Object: "alerts", By: Name(r.Context()),
				Address: Of(r.Context()).Address}, alertRounds)
		case ends:
			s.Audit(r.Context(), "delete", storage.KindSilence, id)
		default:
			var made struct{ SilenceID string }
			_ = json.Unmarshal(answer.Bytes(), &made) // an answer of another form leaves the id empty
			s.Audit(r.Context(), "create", storage.KindSilence, made.SilenceID)
		}
	})
}

// alertRounds is for how long alerts from one sender are one entry.
const alertRounds = 60
