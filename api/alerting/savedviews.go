package alerting

import (
	"context"
	"errors"
	"strings"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/books"
)

// SavedViews answers for the views of pages that users save.
type SavedViews struct {
	*answer.Moments
	Book *books.ViewBook // nil: users cannot save any
}

func (s *SavedViews) book() (*books.ViewBook, error) {
	if s.Book == nil {
		return nil, answer.Advise(answer.Problemf(answer.ErrUnavailable, "", "this installation keeps no saved views"), answer.RulesAdvice)
	}
	return s.Book, nil
}

// ListSavedViews implements rest.StrictServerInterface.
func (s *SavedViews) ListSavedViews(context.Context, rest.ListSavedViewsRequestObject) (rest.ListSavedViewsResponseObject, error) {
	out := rest.ListSavedViews200JSONResponse{Views: []rest.SavedView{}}
	if s.Book == nil {
		return out, nil
	}
	list, err := s.Book.List()
	for i := range list {
		v, err := savedView(&list[i])
		if err != nil {
			return nil, err
		}
		out.Views = append(out.Views, v)
	}
	return out, err
}

// GetSavedView implements rest.StrictServerInterface.
func (s *SavedViews) GetSavedView(_ context.Context, q rest.GetSavedViewRequestObject) (rest.GetSavedViewResponseObject, error) {
	b, err := s.book()
	if err != nil {
		return nil, err
	}
	v, err := b.Get(q.Id)
	if err != nil {
		return nil, viewProblem(err)
	}
	out, err := savedView(v)
	return rest.GetSavedView200JSONResponse{Body: out, Headers: rest.GetSavedView200ResponseHeaders{ETag: &out.Etag}}, err
}

// CreateSavedView implements rest.StrictServerInterface.
func (s *SavedViews) CreateSavedView(ctx context.Context, q rest.CreateSavedViewRequestObject) (rest.CreateSavedViewResponseObject, error) {
	b, err := s.book()
	if err != nil {
		return nil, err
	}
	v, err := s.viewOf(ctx, q.Body)
	if err != nil {
		return nil, err
	}
	if v, err = b.Create(ctx, v); err != nil {
		return nil, viewProblem(err)
	}
	out, err := savedView(&v)
	return rest.CreateSavedView201JSONResponse(out), err
}

// UpdateSavedView implements rest.StrictServerInterface.
func (s *SavedViews) UpdateSavedView(ctx context.Context, q rest.UpdateSavedViewRequestObject) (rest.UpdateSavedViewResponseObject, error) {
	b, err := s.book()
	if err != nil {
		return nil, err
	}
	v, err := s.viewOf(ctx, q.Body)
	if err != nil {
		return nil, err
	}
	v.ID = q.Id
	if err := b.Update(ctx, v, answer.IfMatch(q.Params.IfMatch)); err != nil {
		return nil, viewProblem(err)
	}
	out, err := savedView(&v)
	return rest.UpdateSavedView200JSONResponse{Body: out, Headers: rest.UpdateSavedView200ResponseHeaders{ETag: &out.Etag}}, err
}

// DeleteSavedView implements rest.StrictServerInterface.
func (s *SavedViews) DeleteSavedView(ctx context.Context, q rest.DeleteSavedViewRequestObject) (rest.DeleteSavedViewResponseObject, error) {
	b, err := s.book()
	if err != nil {
		return nil, err
	}
	return rest.DeleteSavedView204Response{}, viewProblem(b.Delete(ctx, caller.Name(ctx), q.Id, answer.IfMatch(q.Params.IfMatch), s.Now()))
}

func (s *SavedViews) viewOf(ctx context.Context, in *rest.SavedViewInput) (v books.SavedView, err error) {
	v = books.SavedView{Name: strings.TrimSpace(in.Name), Page: string(in.Page), Query: strings.TrimPrefix(in.Query, "?"),
		By: caller.Name(ctx), At: s.Now().UTC()}
	if v.Name == "" {
		err = answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_name", "the name is blank"), "Give the view a name.")
	}
	return v, err
}

func savedView(v *books.SavedView) (rest.SavedView, error) {
	tag, err := answer.ETag(v.Tag())
	return rest.SavedView{Id: v.ID, Etag: answer.Value(tag), Name: v.Name, Page: rest.SavedViewPage(v.Page), Query: v.Query, SavedBy: v.By,
		SavedAt: v.At}, err
}

func viewProblem(err error) error {
	switch {
	case errors.Is(err, books.ErrViewUnknown):
		return answer.ErrNotFound
	case errors.Is(err, books.ErrViewExists):
		return answer.Advise(answer.Problemf(answer.ErrConflict, "name_taken", "%v", err), "Choose another name, or replace that view.")
	case errors.Is(err, books.ErrViewsFull):
		return answer.Advise(answer.Problemf(answer.ErrConflict, "too_many", "%v", err), "Delete views that are not used.")
	}
	return answer.Edited(err)
}
