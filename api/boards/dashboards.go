package boards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/books"
)

// Dashboards answers for the dashboards that users make, and for the example.
type Dashboards struct {
	Book *books.DashboardBook // nil: this installation stores none
	Now  func() time.Time
}

func (d *Dashboards) book() (*books.DashboardBook, error) {
	if d.Book == nil {
		return nil, answer.Advise(answer.Problemf(answer.ErrUnavailable, "", "this server does not store dashboards"), advice)
	}
	return d.Book, nil
}

const advice = "Dashboards are kept in a topic of the brokers (kafka_config_topic); see whether they answer and the topic may be written."

// edited is an error of the book as clients see it.
func edited(err error) error {
	switch {
	case errors.Is(err, books.ErrDashboardUnknown):
		return answer.ErrNotFound
	case errors.Is(err, books.ErrDashboardInvalid):
		return answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_dashboard", "%v", err), "Change the part that the message names and save again.")
	case errors.Is(err, books.ErrDashboardExample):
		return answer.Advise(answer.Problemf(answer.ErrConflict, "example_dashboard", "the example is part of WatchingCat and cannot be changed"),
			"Save a copy and change that.")
	}
	return answer.Edited(err)
}

// as gives the fields of one type to another with the same JSON.
func as[T any](of any) (out T, err error) {
	b, err := json.Marshal(of)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return out, fmt.Errorf("api: dashboard: %w", err)
	}
	return out, nil
}

func of(in *rest.DashboardInput) (books.Dashboard, error) {
	d, err := as[books.Dashboard](in)
	if err != nil {
		return d, answer.Problemf(answer.ErrBadRequest, "", "%v", err)
	}
	return d, nil
}

func dashboardAnswer(d *books.Dashboard) (rest.Dashboard, error) {
	out, err := as[rest.Dashboard](d)
	out.Example = d.ID == books.ExampleID
	if d.UpdatedAt.IsZero() {
		out.UpdatedAt = nil
	}
	if out.Panels == nil {
		out.Panels = []rest.DashboardPanel{}
	}
	if out.Variables == nil {
		out.Variables = []rest.DashboardVariable{}
	}
	return out, err
}

// ListDashboards implements rest.StrictServerInterface.
func (d *Dashboards) ListDashboards(context.Context, rest.ListDashboardsRequestObject) (rest.ListDashboardsResponseObject, error) {
	out := rest.ListDashboards200JSONResponse{Dashboards: []rest.DashboardHeader{}}
	out.Limits.Dashboards, out.Limits.Panels = books.MaxDashboards, books.MaxPanels
	out.Limits.Variables, out.Limits.Bytes = books.MaxVariables, books.MaxDashboardBytes
	b, err := d.book()
	if err != nil {
		return nil, err
	}
	list, err := b.List()
	if err != nil {
		return nil, err
	}
	for i := range list {
		of := &list[i]
		text, err := json.Marshal(of)
		if err != nil {
			return nil, err
		}
		h := rest.DashboardHeader{Id: of.ID, Title: of.Title, Description: answer.TextOrNil(of.Description), Panels: len(of.Panels),
			Bytes: len(text), Example: of.ID == books.ExampleID, UpdatedBy: answer.TextOrNil(of.UpdatedBy)}
		if !of.UpdatedAt.IsZero() {
			h.UpdatedAt = &of.UpdatedAt
		}
		out.Dashboards = append(out.Dashboards, h)
	}
	return out, nil
}

// dashboard is one as it is stored, with the tag of what was written.
func (d *Dashboards) dashboard(id string) (out rest.Dashboard, tag *string, err error) {
	b, err := d.book()
	if err != nil {
		return out, nil, err
	}
	of, err := b.Get(id)
	if err != nil {
		return out, nil, edited(err)
	}
	if tag, err = answer.ETag(of.Tag()); err != nil {
		return out, nil, err
	}
	out, err = dashboardAnswer(of)
	return out, tag, err
}

// GetDashboard implements rest.StrictServerInterface.
func (d *Dashboards) GetDashboard(_ context.Context, q rest.GetDashboardRequestObject) (rest.GetDashboardResponseObject, error) {
	out, tag, err := d.dashboard(q.Id)
	return rest.GetDashboard200JSONResponse{Body: out, Headers: rest.GetDashboard200ResponseHeaders{ETag: tag}}, err
}

// CreateDashboard implements rest.StrictServerInterface.
func (d *Dashboards) CreateDashboard(ctx context.Context, q rest.CreateDashboardRequestObject) (rest.CreateDashboardResponseObject, error) {
	b, err := d.book()
	if err != nil {
		return nil, err
	}
	in, err := of(q.Body)
	if err != nil {
		return nil, err
	}
	id, err := b.Create(ctx, caller.Name(ctx), in, d.Now())
	if err != nil {
		return nil, edited(err)
	}
	out, _, err := d.dashboard(id)
	return rest.CreateDashboard201JSONResponse(out), err
}

// UpdateDashboard implements rest.StrictServerInterface.
func (d *Dashboards) UpdateDashboard(ctx context.Context, q rest.UpdateDashboardRequestObject) (rest.UpdateDashboardResponseObject, error) {
	b, err := d.book()
	if err != nil {
		return nil, err
	}
	in, err := of(q.Body)
	if err != nil {
		return nil, err
	}
	if err := b.Update(ctx, caller.Name(ctx), q.Id, in, answer.IfMatch(q.Params.IfMatch), d.Now()); err != nil {
		return nil, edited(err)
	}
	out, tag, err := d.dashboard(q.Id)
	return rest.UpdateDashboard200JSONResponse{Body: out, Headers: rest.UpdateDashboard200ResponseHeaders{ETag: tag}}, err
}

// DeleteDashboard implements rest.StrictServerInterface.
func (d *Dashboards) DeleteDashboard(ctx context.Context, q rest.DeleteDashboardRequestObject) (rest.DeleteDashboardResponseObject, error) {
	b, err := d.book()
	if err != nil {
		return nil, err
	}
	if err := b.Delete(ctx, caller.Name(ctx), q.Id, answer.IfMatch(q.Params.IfMatch), d.Now()); err != nil {
		return nil, edited(err)
	}
	return rest.DeleteDashboard204Response{}, nil
}

// ConvertDashboard implements rest.StrictServerInterface.
func (d *Dashboards) ConvertDashboard(_ context.Context, q rest.ConvertDashboardRequestObject) (rest.ConvertDashboardResponseObject, error) {
	doc, err := json.Marshal(q.Body)
	if err != nil {
		return nil, answer.Problemf(answer.ErrBadRequest, "", "%v", err)
	}
	made, notes, err := books.FromGrafana(doc)
	if err != nil {
		return nil, edited(err)
	}
	out := rest.ConvertDashboard200JSONResponse{}
	if out.Dashboard, err = as[rest.DashboardInput](made); err != nil {
		return nil, err
	}
	if out.Notes, err = as[[]struct {
		Panel string `json:"panel"`
		Text  string `json:"text"`
	}](notes); err != nil {
		return nil, err
	}
	if out.Notes == nil {
		out.Notes = out.Notes[:0:0]
	}
	return out, nil
}
