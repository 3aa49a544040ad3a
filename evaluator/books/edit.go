package books

import (
	"context"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

// edit writes the change that `of` returns. No other change of the book happens meanwhile, and the store is up to date when `of` reads it.
func edit(ctx context.Context, mu *sync.Mutex, objects storage.Editor, now time.Time, of func() (storage.Edit, error)) error {
	mu.Lock()
	defer mu.Unlock()
	if err := objects.Sync(ctx); err != nil {
		return err
	}
	e, err := of()
	if err != nil {
		return err
	}
	return objects.Write(ctx, e, now)
}
