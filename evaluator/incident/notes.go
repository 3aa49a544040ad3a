package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

// A Note is what users said of an incident: the value of an object of storage.KindIncident, whose id is that of the incident.
type Note struct {
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`
	Comments     []Comment        `json:"comments,omitempty"`
}

// Acknowledgement says who takes care of an incident. At is by the wall clock.
type Acknowledgement struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Comment is a text that a user wrote about an incident. At is by the wall clock.
type Comment struct {
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

const (
	maxComments    = 200
	maxCommentSize = 4000 // bytes
	// notesKept is how long a note is kept after its incident began: longer than the incident.
	notesKept = 60 * 24 * time.Hour
	// notesExpired is how many old notes go with one edit.
	notesExpired = 100
)

// ErrCommentInvalid says that a comment cannot be kept.
var ErrCommentInvalid = errors.New("the comment cannot be stored")

// NoteBook is what users said of incidents, at all replicas. Its methods may be called concurrently.
type NoteBook struct {
	KV      storage.KV
	Objects storage.Editor

	mu sync.Mutex // one change at a time: each is made of what is stored
}

// Get returns what was said of an incident; nothing is an empty note.
func (b *NoteBook) Get(id string) (n Note, err error) {
	v, err := storage.GetObject(b.KV, storage.KindIncident, id)
	if errors.Is(err, storage.ErrNotFound) {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(v, &n)
	}
	if err != nil {
		return n, fmt.Errorf("evaluator: note of incident %s: %w", id, err)
	}
	return n, nil
}

// All returns what was said of all incidents, by their ids.
func (b *NoteBook) All() (map[string]Note, error) {
	list, err := storage.Objects(b.KV, storage.KindIncident)
	if err != nil {
		return nil, err
	}
	out := map[string]Note{}
	for _, o := range list {
		var n Note
		if err := json.Unmarshal(o.Value, &n); err != nil {
			return nil, fmt.Errorf("evaluator: note of incident %s: %w", o.ID, err)
		}
		out[o.ID] = n
	}
	return out, nil
}

// Acknowledge notes who takes care of an incident: the first who said so. now is the wall clock.
func (b *NoteBook) Acknowledge(ctx context.Context, by, id string, now time.Time) error {
	return b.edit(ctx, by, "acknowledge", id, now, func(n *Note) (bool, error) {
		if n.Acknowledged != nil {
			return false, nil
		}
		n.Acknowledged = &Acknowledgement{By: by, At: now.UTC()}
		return true, nil
	})
}

// Withdraw takes an acknowledgement back.
func (b *NoteBook) Withdraw(ctx context.Context, by, id string, now time.Time) error {
	return b.edit(ctx, by, "withdraw", id, now, func(n *Note) (bool, error) {
		had := n.Acknowledged != nil
		n.Acknowledged = nil
		return had, nil
	})
}

// Comment adds a comment.
func (b *NoteBook) Comment(ctx context.Context, by, id, text string, now time.Time) error {
	return b.edit(ctx, by, "comment", id, now, func(n *Note) (bool, error) {
		switch text = strings.TrimSpace(text); {
		case text == "":
			return false, fmt.Errorf("%w: it is empty", ErrCommentInvalid)
		case len(text) > maxCommentSize:
			return false, fmt.Errorf("%w: it has %d bytes, more than %d", ErrCommentInvalid, len(text), maxCommentSize)
		case len(n.Comments) >= maxComments:
			return false, fmt.Errorf("%w: the incident has %d comments already", ErrCommentInvalid, maxComments)
		}
		n.Comments = append(n.Comments, Comment{By: by, At: now.UTC(), Text: text})
		return true, nil
	})
}

// edit writes what change makes of a note, if it changes it, and drops old notes.
func (b *NoteBook) edit(ctx context.Context, by, action, id string, now time.Time, change func(*Note) (bool, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.Objects.Sync(ctx); err != nil {
		return err
	}
	n, err := b.Get(id)
	if err != nil {
		return err
	}
	changed, err := change(&n)
	if err != nil || !changed {
		return err
	}
	o := storage.Object{Kind: storage.KindIncident, ID: id}
	if n.Acknowledged != nil || len(n.Comments) > 0 {
		if o.Value, err = json.Marshal(n); err != nil {
			return fmt.Errorf("evaluator: note of incident %s: %w", id, err)
		}
	}
	if err := b.Objects.Write(ctx, storage.Edit{By: by, Action: action, Objects: []storage.Object{o}}, now); err != nil {
		return err
	}
	return b.expire(ctx, now)
}

// expire drops notes of incidents that are no longer kept.
func (b *NoteBook) expire(ctx context.Context, now time.Time) error {
	list, err := storage.Objects(b.KV, storage.KindIncident)
	if err != nil {
		return err
	}
	var gone []storage.Object
	for _, o := range list {
		began, _, _ := strings.Cut(o.ID, "-")
		at, err := strconv.ParseInt(began, 16, 64)
		if err == nil && now.Sub(time.Unix(at, 0)) > notesKept && len(gone) < notesExpired {
			gone = append(gone, storage.Object{Kind: storage.KindIncident, ID: o.ID})
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return b.Objects.Put(ctx, gone)
}
