package alerting

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/incident"
)

// maxPrevious is how many earlier incidents of its kind an incident names.
const maxPrevious = 50

// Incidents answers for alerts that fire for one reason.
type Incidents struct {
	*answer.Moments
	Evaluator Evaluator
	Book      *incident.Book     // nil: none are kept
	Notes     *incident.NoteBook // nil: users cannot say anything of them
}

func (s *Incidents) notes() (map[string]incident.Note, error) {
	if s.Notes == nil {
		return nil, nil
	}
	return s.Notes.All()
}

// noteOf is what users said of an incident, and of those that became part of it.
func noteOf(h *incident.Header, notes map[string]incident.Note) incident.Note {
	n := notes[h.ID]
	n.Comments = slices.Clone(n.Comments)
	for _, id := range h.Merged {
		if a := notes[id].Acknowledged; a != nil && n.Acknowledged == nil {
			n.Acknowledged = a
		}
		n.Comments = append(n.Comments, notes[id].Comments...)
	}
	slices.SortStableFunc(n.Comments, func(a, b incident.Comment) int { return a.At.Compare(b.At) })
	return n
}

func incidentHeader(h *incident.Header, n incident.Note) rest.IncidentHeader {
	out := rest.IncidentHeader{Id: h.ID, Title: h.Title, State: rest.IncidentHeaderStateOpen, Cause: answer.TextOrNil(h.Cause),
		Since: h.Since.UTC(), FiredAt: h.FiredAt.UTC(), ResolvedAt: answer.TimeOrNil(h.ResolvedAt), Severity: answer.TextOrNil(h.Severity),
		Names: append([]string{}, h.Names...), Services: append([]string{}, h.Services...), Alerts: h.Alerts, Fired: h.Fired}
	if !h.Open() {
		out.State = rest.IncidentHeaderStateResolved
	}
	if a := n.Acknowledged; a != nil {
		out.Acknowledged = &rest.IncidentAcknowledgement{By: a.By, At: a.At}
	}
	return out
}

// ListIncidents implements rest.StrictServerInterface.
func (s *Incidents) ListIncidents(ctx context.Context, q rest.ListIncidentsRequestObject) (rest.ListIncidentsResponseObject, error) {
	m, p := s.Moment(ctx), q.Params
	if _, err := historyRange(p.Start, p.End); err != nil {
		return nil, err
	}
	began, err := historyRange(nil, p.End)
	if err != nil {
		return nil, err
	}
	ended, err := historyRange(p.Start, nil)
	if err != nil {
		return nil, err
	}
	notes, err := s.notes()
	if err != nil {
		return nil, err
	}
	all := []rest.IncidentHeader{}
	if s.Book != nil {
		for _, h := range s.Book.List() {
			state := p.State == nil || (*p.State == rest.ListIncidentsParamsStateOpen) == h.Open()
			about := p.Service == nil || h.Cause == *p.Service || slices.Contains(h.Services, *p.Service)
			if state && about && began(h.Since) && (h.Open() || ended(h.ResolvedAt)) {
				all = append(all, incidentHeader(&h, noteOf(&h, notes)))
			}
		}
	}
	list, next, err := answer.Page(all, answer.LimitOf(p.Limit), p.Next, func(h rest.IncidentHeader) string { return descending(h.Id) })
	if err != nil {
		return nil, err
	}
	return rest.ListIncidents200JSONResponse{Incidents: list, Total: len(list), Next: next, Meta: s.Meta(m, answer.Range{})}, nil
}

// descending makes a key that grows of one that falls.
func descending(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = ^b[i]
	}
	return string(b)
}

// get is an incident as it stands.
func (s *Incidents) get(ctx context.Context, id string) (out rest.Incident, err error) {
	m := s.Moment(ctx)
	i, err := s.find(id)
	if err != nil {
		return out, err
	}
	notes, err := s.notes()
	if err != nil {
		return out, err
	}
	note := noteOf(&i.Header, notes)
	out = rest.Incident{Incident: incidentHeader(&i.Header, note), Members: s.members(i), Events: []rest.IncidentEvent{},
		Deliveries: []rest.IncidentDelivery{}, Dropped: i.Dropped, AtFiring: i.AtFiring, Latest: i.Latest,
		Comments: []rest.IncidentComment{}, Previous: []rest.IncidentReference{}, Meta: s.Meta(m, answer.Range{})}
	print := map[string]string{}
	for k, member := range i.Members {
		print[member.Key] = out.Members[k].Fingerprint
	}
	for _, e := range i.Events {
		if fp, ok := print[e.Key]; ok {
			out.Events = append(out.Events, rest.IncidentEvent{Time: e.Time.UTC(), Kind: rest.IncidentEventKind(e.Kind), Fingerprint: fp,
				Value: e.Value})
		}
	}
	for _, d := range i.Deliveries {
		out.Deliveries = append(out.Deliveries, rest.IncidentDelivery{Time: d.Time.UTC(), Receiver: d.Receiver, Integration: d.Integration,
			Reason: d.Reason, DurationMs: d.DurationMs, Error: answer.TextOrNil(d.Error), Resolved: d.Resolved})
	}
	for _, c := range note.Comments {
		out.Comments = append(out.Comments, rest.IncidentComment{By: c.By, At: c.At, Text: c.Text})
	}
	s.previous(i, &out)
	return out, nil
}

func (s *Incidents) find(id string) (*incident.Incident, error) {
	unknown := answer.Advise(answer.Problemf(answer.ErrNotFound, "", "there is no incident %q", id),
		"GET /api/v1/incidents lists the incidents. They are kept for 30 days after they resolve, at most 5,000.")
	if s.Book == nil {
		return nil, unknown
	}
	i, err := s.Book.Get(id)
	if errors.Is(err, incident.ErrNotFound) {
		return nil, unknown
	}
	return i, err
}

func (s *Incidents) members(i *incident.Incident) []rest.IncidentAlert {
	exprs := map[string]string{}
	for _, r := range s.Evaluator.Rules() {
		exprs[r.ID] = r.Expr
	}
	out := []rest.IncidentAlert{}
	for _, m := range i.Members {
		out = append(out, rest.IncidentAlert{Fingerprint: fingerprint(m.Labels), RuleId: m.RuleID, Labels: m.Labels.Map(),
			Annotations: m.Annotations.Map(), State: rest.IncidentAlertState(m.State), ActiveAt: m.ActiveAt.UTC(), FiredAt: m.FiredAt.UTC(),
			ResolvedAt: answer.TimeOrNil(m.ResolvedAt), Value: m.Value, Fired: m.Fired, Cause: answer.TextOrNil(m.Cause),
			Expr: answer.TextOrNil(exprs[m.RuleID])})
	}
	return out
}

// previous adds the earlier incidents with the same cause and an alert of the same name.
func (s *Incidents) previous(i *incident.Incident, out *rest.Incident) {
	for _, h := range s.Book.List() {
		same := slices.ContainsFunc(h.Names, func(name string) bool { return slices.Contains(i.Names, name) })
		if h.ID == i.ID || !h.FiredAt.Before(i.FiredAt) || h.Cause != i.Cause || !same {
			continue
		}
		if i.Cause == "" && !slices.ContainsFunc(h.Services, func(name string) bool { return slices.Contains(i.Services, name) }) &&
			len(i.Services)+len(h.Services) > 0 {
			continue
		}
		if out.PreviousTotal++; len(out.Previous) < maxPrevious {
			out.Previous = append(out.Previous, rest.IncidentReference{Id: h.ID, FiredAt: h.FiredAt.UTC(),
				ResolvedAt: answer.TimeOrNil(h.ResolvedAt)})
		}
	}
}

// GetIncident implements rest.StrictServerInterface.
func (s *Incidents) GetIncident(ctx context.Context, q rest.GetIncidentRequestObject) (rest.GetIncidentResponseObject, error) {
	out, err := s.get(ctx, q.Id)
	return rest.GetIncident200JSONResponse(out), err
}

// note lets a user say something of an incident, and returns it as it stands then.
func (s *Incidents) note(ctx context.Context, id string, say func(b *incident.NoteBook, by, id string, now time.Time) error) (rest.Incident,
	error) {
	i, err := s.find(id)
	if err != nil {
		return rest.Incident{}, err
	}
	if s.Notes == nil {
		return rest.Incident{}, answer.Advise(answer.Problemf(answer.ErrUnavailable, "", "this installation keeps no comments"),
			answer.RulesAdvice)
	}
	if err := say(s.Notes, caller.Name(ctx), i.ID, s.Now()); err != nil {
		if errors.Is(err, incident.ErrCommentInvalid) {
			err = answer.Problemf(answer.ErrBadRequest, "invalid_comment", "%v", err)
		}
		return rest.Incident{}, answer.Edited(err)
	}
	return s.get(ctx, i.ID)
}

// AcknowledgeIncident implements rest.StrictServerInterface.
func (s *Incidents) AcknowledgeIncident(ctx context.Context, q rest.AcknowledgeIncidentRequestObject) (rest.AcknowledgeIncidentResponseObject,
	error) {
	out, err := s.note(ctx, q.Id, func(b *incident.NoteBook, by, id string, now time.Time) error { return b.Acknowledge(ctx, by, id, now) })
	return rest.AcknowledgeIncident200JSONResponse(out), err
}

// WithdrawIncidentAcknowledgement implements rest.StrictServerInterface.
func (s *Incidents) WithdrawIncidentAcknowledgement(ctx context.Context,
	q rest.WithdrawIncidentAcknowledgementRequestObject) (rest.WithdrawIncidentAcknowledgementResponseObject, error) {
	out, err := s.note(ctx, q.Id, func(b *incident.NoteBook, by, id string, now time.Time) error { return b.Withdraw(ctx, by, id, now) })
	return rest.WithdrawIncidentAcknowledgement200JSONResponse(out), err
}

// CommentIncident implements rest.StrictServerInterface.
func (s *Incidents) CommentIncident(ctx context.Context, q rest.CommentIncidentRequestObject) (rest.CommentIncidentResponseObject, error) {
	out, err := s.note(ctx, q.Id, func(b *incident.NoteBook, by, id string, now time.Time) error {
		return b.Comment(ctx, by, id, q.Body.Text, now)
	})
	return rest.CommentIncident201JSONResponse(out), err
}
