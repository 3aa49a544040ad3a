package samples

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
)

// copyTo copies the samples of a version into the folder of another process, as a backup and its restore do.
func copyTo(t *testing.T, from *Folders, to string) *Folders {
	t.Helper()
	out := &Folders{DataDir: to, Options: from.Options}
	dir, err := out.Folder(0)
	require.NoError(t, err)
	require.NoError(t, from.Copy(context.Background(), 0, func(_ context.Context, files []File) error {
		for _, f := range files {
			r, err := f.Open()
			if err != nil {
				return err
			}
			b, err := io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil {
				return err
			}
			if int64(len(b)) != f.Size {
				return fmt.Errorf("%s: %d bytes of %d", f.Name, len(b), f.Size)
			}
			name := filepath.Join(dir, filepath.FromSlash(f.Name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o750), os.WriteFile(name, b, 0o600)); err != nil {
				return err
			}
		}
		return nil
	}))
	return out
}

// TestCopiedSamplesGoOn: what is copied while samples are appended in and out of order and written to blocks holds every append that ended
// before; appending all again gives the same as the source has, through restarts that lose nothing.
func TestCopiedSamplesGoOn(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			ctx := context.Background()
			source := &Folders{DataDir: t.TempDir(), Options: Options{Retention: time.Hour}}
			s := source.Open(0)
			require.NoError(t, s.Wait(ctx))
			var batches [][]Sample
			for i := range int64(600) {
				at := sampleTime + i*10_000
				var b []Sample
				for j := range 5 {
					late := at - int64(r.IntN(40))*37_000
					b = append(b, sampleOf(fmt.Sprintf("m%d", j), late, float64(late%1_000_000))) // no two values for one time
				}
				batches = append(batches, b)
			}
			at, compact := 100+r.IntN(400), []int{1000, 30 + r.IntN(100)}[seed%2]
			var restored *Folders
			var wrote sync.WaitGroup
			for i, b := range batches {
				_, err := s.Append(ctx, b)
				require.NoError(t, err)
				if i%compact == compact-1 {
					require.NoError(t, s.tendOnce())
				}
				if i == at {
					wrote.Go(func() { restored = copyTo(t, source, t.TempDir()) }) // while the rest is appended
				}
			}
			wrote.Wait()
			require.NoError(t, restored.Restored(ctx, 0))
			again := restored.Open(0)
			require.NoError(t, again.Wait(ctx))
			for i, b := range batches {
				if i <= at-20 {
					continue // the positions of a backup lie before what its samples hold
				}
				_, err := again.Append(ctx, b)
				require.NoError(t, err)
				if i == at+30 { // a stop and a kill
					require.NoError(t, again.Close())
					again = restored.Open(0)
					require.NoError(t, again.Wait(ctx))
				}
			}
			require.NoError(t, s.tendOnce())
			want := dumpSamples(t, s)
			requireSame(t, want, dumpSamples(t, again), "after the backup")
			require.NoError(t, again.Close())
			again = restored.Open(0)
			require.NoError(t, again.Wait(ctx))
			requireSame(t, want, dumpSamples(t, again), "after a restart")
			require.NoError(t, errors.Join(again.Close(), s.Close()))
		})
	}
}

// requireSame says how many samples are lacking and too many.
func requireSame(t *testing.T, want, got, when string) {
	t.Helper()
	w, g := strings.Fields(want), strings.Fields(got)
	if want != got {
		t.Fatalf("%s: %d samples, want %d", when, len(g), len(w))
	}
}

// TestCopyEndsWithTheStore: samples that are dropped while they are copied do not wait for the copy.
func TestCopyEndsWithTheStore(t *testing.T) {
	f := &Folders{DataDir: t.TempDir()}
	s := f.Open(3)
	require.NoError(t, s.Wait(context.Background()))
	began := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- f.Copy(context.Background(), 3, func(ctx context.Context, _ []File) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-began
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-ended, ErrNoVersion)
	require.NoError(t, f.Drop(3))
	require.ErrorIs(t, f.Copy(context.Background(), 3, nil), ErrNoVersion)
	require.ErrorIs(t, s.Copy(context.Background(), nil), storage.ErrClosed)
}
