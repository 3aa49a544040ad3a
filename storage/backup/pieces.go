package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/time/rate"
)

const (
	// pieceBytes is the size of the files of a backup: one is in memory at a time, so it can be sent again.
	pieceBytes = 16 << 20
	maxPiece   = 4 * pieceBytes
	// fileTimeout bounds the writing or reading of one file.
	fileTimeout = 10 * time.Minute
	// getAttempts is how often a file is read before the restore fails.
	getAttempts = 4
)

// streamWriter compresses what is written to it, and cuts that into files.
type streamWriter struct {
	ctx    context.Context //nolint:containedctx // io.Writer has none
	st     Store
	id     string
	limit  *rate.Limiter // nil: none
	wrote  func(n int64)
	out    Stream
	zip    *zstd.Encoder
	buffer []byte
}

func newStreamWriter(ctx context.Context, st Store, id, name string, limit *rate.Limiter, wrote func(int64)) (*streamWriter, error) {
	w := &streamWriter{ctx: ctx, st: st, id: id, limit: limit, wrote: wrote, out: Stream{Name: name}}
	var err error
	w.zip, err = zstd.NewWriter(writerFunc(w.take), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	return w, err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// Write implements io.Writer.
func (w *streamWriter) Write(b []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	n, err := w.zip.Write(b)
	w.out.Bytes += int64(n)
	return n, err
}

// take gets what was compressed.
func (w *streamWriter) take(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if w.buffer == nil {
			w.buffer = make([]byte, 0, pieceBytes)
		}
		k := min(len(b), pieceBytes-len(w.buffer))
		w.buffer = append(w.buffer, b[:k]...)
		if b = b[k:]; len(w.buffer) == pieceBytes {
			if err := w.put(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (w *streamWriter) put() error {
	for left := len(w.buffer); w.limit != nil && left > 0; {
		n := min(left, w.limit.Burst())
		if err := w.limit.WaitN(w.ctx, n); err != nil {
			return errors.Join(context.Cause(w.ctx), err)
		}
		left -= n
	}
	sum := sha256.Sum256(w.buffer)
	f := File{Name: pieceName(w.out.Name, len(w.out.Files)), Bytes: int64(len(w.buffer)), SHA256: hex.EncodeToString(sum[:])}
	if err := put(w.ctx, w.st, path.Join(w.id, f.Name), w.buffer); err != nil {
		return err
	}
	w.out.Files = append(w.out.Files, f)
	w.buffer = w.buffer[:0]
	w.wrote(f.Bytes)
	return nil
}

func put(ctx context.Context, st Store, name string, b []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fileTimeout, fmt.Errorf("no answer within %v", fileTimeout))
	defer cancel()
	if err := st.Put(ctx, name, b); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("write %s to %s: %w", name, st, err)
	}
	return nil
}

// close ends the stream.
func (w *streamWriter) close() (Stream, error) {
	if err := w.zip.Close(); err != nil {
		return w.out, err
	}
	if len(w.buffer) > 0 {
		if err := w.put(); err != nil {
			return w.out, err
		}
	}
	return w.out, nil
}

// streamReader reads a stream back. What it returns has been compared with its checksum.
type streamReader struct {
	ctx   context.Context //nolint:containedctx // io.Reader has none
	st    Store
	id    string
	files []File
	read  func(n int64)
	piece []byte
}

// openStream returns what was written to a stream. A stream that is longer than its manifest says is damaged.
func openStream(ctx context.Context, st Store, id string, s Stream, read func(int64)) (*counted, error) {
	pieces := &streamReader{ctx: ctx, st: st, id: id, files: s.Files, read: read}
	z, err := zstd.NewReader(pieces, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, err
	}
	return &counted{ReadCloser: z.IOReadCloser(), left: s.Bytes}, nil
}

// Read implements io.Reader.
func (r *streamReader) Read(b []byte) (int, error) {
	for len(r.piece) == 0 {
		if len(r.files) == 0 {
			return 0, io.EOF
		}
		p, err := readPiece(r.ctx, r.st, r.id, r.files[0])
		if err != nil {
			return 0, err
		}
		r.read(int64(len(p)))
		r.piece, r.files = p, r.files[1:]
	}
	n := copy(b, r.piece)
	r.piece = r.piece[n:]
	return n, nil
}

// readPiece reads a file and compares it with its checksum. A connection may break, and a file may be cut on its way: it is read again.
func readPiece(ctx context.Context, st Store, id string, f File) (b []byte, err error) {
	for attempt := range getAttempts {
		if attempt > 0 {
			select {
			case <-time.After(time.Duration(attempt) * retryPause):
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		b, err = readAll(ctx, st, path.Join(id, f.Name), f.Bytes)
		if err == nil {
			sum := sha256.Sum256(b)
			if int64(len(b)) == f.Bytes && hex.EncodeToString(sum[:]) == f.SHA256 {
				return b, nil
			}
			err = fmt.Errorf("%w: %s/%s has %d bytes with another checksum than its manifest says for %d bytes", ErrDamaged, id, f.Name,
				len(b), f.Bytes)
		}
		if errors.Is(err, ErrNoFile) {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return nil, err
}

// retryPause is how long the first retry of a read waits.
var retryPause = time.Second

// readAll reads a file of at most a size; of a longer one it returns a byte more.
func readAll(ctx context.Context, st Store, name string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	r, err := st.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	return b, errors.Join(err, r.Close())
}

// counted is a stream of a known length. It keeps the error that ended it.
type counted struct {
	io.ReadCloser
	left int64
	err  error
}

func (c *counted) Read(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.ReadCloser.Read(b)
	switch c.left -= int64(n); {
	case c.left < 0, c.left > 0 && errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: its manifest says another length", ErrDamaged)
	case err != nil && zstdError(err):
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	c.err = err
	return n, err
}

func zstdError(err error) bool {
	for _, e := range []error{zstd.ErrMagicMismatch, zstd.ErrWindowSizeExceeded, zstd.ErrDecoderSizeExceeded, zstd.ErrCRCMismatch,
		zstd.ErrBlockTooSmall, zstd.ErrReservedBlockType, io.ErrUnexpectedEOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// abort frees the encoder of a stream that will not be ended.
func (w *streamWriter) abort() error {
	w.zip.Reset(io.Discard)
	return w.zip.Close()
}
