package otlp

import (
	"encoding/binary"
	"sync"

	"github.com/gaurav/watchingcat/views/model"
)

// ScanSpans reads an OTLP ExportTraceServiceRequest (or TracesData, the same bytes) off the wire and calls f for each span, in
// order. It builds no objects: what it hands out points into b and is reused for the next span. It accepts what pdata accepts and
// finds the same fields there (the first of attributes with the same key, the last of repeated plain fields), but refuses values
// nested deeper than 64 and more than maxSpans spans. On an error f may have been called for spans before the bad byte.
func ScanSpans(b []byte, maxSpans int, f func(r *model.Resource, s *model.Span)) error {
	return ScanSpansWith(nil, b, maxSpans, f)
}

// ScanSpansWith is ScanSpans that reads the attributes which are dimensions too; nil: there are none.
func ScanSpansWith(d *model.Dimensions, b []byte, maxSpans int, f func(r *model.Resource, s *model.Span)) error {
	sc := scanners.Get().(*scanner)
	defer func() {
		sc.f = nil
		scanners.Put(sc)
	}()
	sc.f, sc.left, sc.dims, sc.seq = f, maxSpans, d, 0
	for i := 0; i < len(b); {
		fd, ok := NextField(b, i)
		if !ok {
			return ErrMalformed
		}
		i = fd.Next
		if fd.Num != 1 {
			continue
		}
		if fd.Wire != WireLen {
			return ErrMalformed
		}
		if err := sc.resourceSpans(fd.Data); err != nil {
			return err
		}
	}
	return nil
}

// scanners are kept because what f is given escapes.
var scanners = sync.Pool{New: func() any { return new(scanner) }}

type scanner struct {
	f    func(r *model.Resource, s *model.Span)
	left int
	seq  uint64 // resources so far
	dims *model.Dimensions
	ranks
	res  model.Resource
	span model.Span
}

// resourceSpans reads the resource first, wherever it stands.
func (sc *scanner) resourceSpans(b []byte) error {
	sc.seq++
	sc.res = model.Resource{Seq: sc.seq, Dims: sc.res.Dims[:0]}
	for i := 0; i < len(b); {
		fd, ok := NextField(b, i)
		if !ok {
			return ErrMalformed
		}
		i = fd.Next
		switch fd.Num {
		case 1, 2, 3, 1000:
			if fd.Wire != WireLen {
				return ErrMalformed
			}
		}
		var err error
		switch fd.Num {
		case 1:
			err = sc.resource(fd.Data)
		case 1000: // deprecated scope spans: pdata checks and ignores them
			err = check(fd.Data, scopeSpans, 0)
		}
		if err != nil {
			return err
		}
	}
	for i := 0; i < len(b); {
		fd, _ := NextField(b, i)
		i = fd.Next
		if fd.Num == 2 {
			if err := sc.scopeSpans(fd.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

func (sc *scanner) resource(b []byte) error {
	for i := 0; i < len(b); {
		fd, ok := NextField(b, i)
		if !ok {
			return ErrMalformed
		}
		i = fd.Next
		var err error
		switch fd.Num {
		case 1:
			if fd.Wire != WireLen {
				return ErrMalformed
			}
			err = sc.resourceAttribute(fd.Data)
		case 2:
			if fd.Wire != wireVarint {
				return ErrMalformed
			}
		case 3:
			if fd.Wire != WireLen {
				return ErrMalformed
			}
			err = check(fd.Data, entityRef, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (sc *scanner) resourceAttribute(d []byte) error {
	key, val, err := attribute(d)
	if err != nil {
		return err
	}
	switch string(key) {
	case "service.name":
		if !sc.res.HasService {
			sc.res.HasService = true
			sc.res.Service, err = text(d, val)
		}
	case "db.name":
		err = keep(&sc.res.DBName, d, val)
	case "db.namespace":
		err = keep(&sc.res.DBNamespace, d, val)
	case "service.version":
		err = keep(&sc.res.Version, d, val)
	}
	if sc.dims.Is(len(key)) && err == nil {
		sc.res.Dims, err = sc.dims.Collect(sc.res.Dims, key, func() ([]byte, error) { return text(d, val) })
	}
	return err
}

func (sc *scanner) scopeSpans(b []byte) error {
	for i := 0; i < len(b); {
		fd, ok := NextField(b, i)
		if !ok {
			return ErrMalformed
		}
		i = fd.Next
		if fd.Num > 3 {
			continue
		}
		if fd.Wire != WireLen {
			return ErrMalformed
		}
		switch fd.Num {
		case 1:
			if err := check(fd.Data, scope, 0); err != nil {
				return err
			}
		case 2:
			if sc.left--; sc.left < 0 {
				return ErrTooManySpans
			}
			if err := sc.oneSpan(fd.Data); err != nil {
				return err
			}
			sc.f(&sc.res, &sc.span)
		}
	}
	return nil
}

// oneSpan reads the usual fields in their usual form here, everything else in rareField.
func (sc *scanner) oneSpan(b []byte) error {
	s := &sc.span
	*s = model.Span{Size: uint32(len(b)), Exceptions: s.Exceptions[:0], Dims: s.Dims[:0]}
	sc.ranks = ranks{}
	for i := 0; i < len(b); {
		if len(b)-i > 9 {
			n, j := int(b[i+1]), i+2
			switch b[i] {
			case 7<<3 | wireI64:
				s.Start = binary.LittleEndian.Uint64(b[i+1:])
				i += 9
				continue
			case 8<<3 | wireI64:
				s.End = binary.LittleEndian.Uint64(b[i+1:])
				i += 9
				continue
			case 9<<3 | WireLen:
				if n >= 0x80 {
					if b[j] >= 0x80 {
						break
					}
					n = n&0x7f | int(b[j])<<7
					j++
				}
				if n > len(b)-j {
					return ErrMalformed
				}
				if err := sc.spanAttribute(b[j : j+n]); err != nil {
					return err
				}
				i = j + n
				continue
			case 1<<3 | WireLen:
				if n == 16 && len(b)-j >= 16 {
					s.TraceID = [16]byte(b[j:])
					i = j + 16
					continue
				}
			case 2<<3 | WireLen:
				if n == 8 {
					s.SpanID = [8]byte(b[j:])
					i = j + 8
					continue
				}
			case 4<<3 | WireLen:
				if n == 8 {
					s.ParentID = [8]byte(b[j:])
					i = j + 8
					continue
				}
			case 6<<3 | wireVarint:
				if n < 0x80 {
					s.Kind = model.Kind(n)
					i += 2
					continue
				}
			case 15<<3 | WireLen:
				if n < 0x80 && n <= len(b)-j {
					if err := sc.status(b[j : j+n]); err != nil {
						return err
					}
					i = j + n
					continue
				}
			case 5<<3 | WireLen:
				if n < 0x80 && n <= len(b)-j {
					s.Name = b[j : j+n]
					i = j + n
					continue
				}
			}
		}
		fd, ok := NextField(b, i)
		if !ok {
			return ErrMalformed
		}
		i = fd.Next
		if err := sc.rareField(&fd); err != nil {
			return err
		}
	}
	return nil
}

func (sc *scanner) rareField(fd *Field) error {
	if int(fd.Num) >= len(spanMsg.fields) || spanMsg.fields[fd.Num].wire == 0 {
		return nil
	}
	k := &spanMsg.fields[fd.Num]
	if fd.Wire+1 != k.wire || k.id > 0 && len(fd.Data) != 0 && len(fd.Data) != k.id {
		return ErrMalformed
	}
	s := &sc.span
	switch fd.Num {
	case 1:
		s.TraceID = [16]byte{}
		copy(s.TraceID[:], fd.Data)
	case 2:
		s.SpanID = [8]byte{}
		copy(s.SpanID[:], fd.Data)
	case 3:
		s.TraceState = fd.Data
	case 4:
		s.ParentID = [8]byte{}
		copy(s.ParentID[:], fd.Data)
	case 5:
		s.Name = fd.Data
	case 6:
		s.Kind = model.Kind(min(uint32(fd.val), 255))
	case 7:
		s.Start = fd.val
	case 8:
		s.End = fd.val
	case 9:
		return sc.spanAttribute(fd.Data)
	case 11:
		if err := check(fd.Data, k.inner, 0); err != nil {
			return err
		}
		return sc.event(fd.Data)
	case 13:
		return check(fd.Data, k.inner, 0)
	case 15:
		return sc.status(fd.Data)
	}
	return nil
}

func (sc *scanner) status(b []byte) error {
	for i := 0; i < len(b); {
		fd, ok := NextField(b, i)
		if !ok {
			return ErrMalformed
		}
		i = fd.Next
		switch fd.Num {
		case 2:
			if fd.Wire != WireLen {
				return ErrMalformed
			}
		case 3:
			if fd.Wire != wireVarint {
				return ErrMalformed
			}
			sc.span.Status = model.Status(min(uint32(fd.val), 255))
		}
	}
	return nil
}

func (sc *scanner) spanAttribute(d []byte) error {
	key, val, err := attribute(d)
	if err != nil {
		return err
	}
	s := &sc.span
	switch string(key) {
	case "peer.service":
		err = keep(&s.PeerService, d, val)
	case "db.name":
		err = keep(&s.DBName, d, val)
	case "db.namespace":
		err = keep(&s.DBNamespace, d, val)
	case "db.system.name":
		err = keep(&s.DBSystemName, d, val)
	case "db.system":
		err = keep(&s.DBSystem, d, val)
	case "server.address":
		err = keep(&s.ServerAddress, d, val)
	case "net.peer.name":
		err = keep(&s.NetPeerName, d, val)
	case "messaging.destination.name":
		err = sc.destination.prefer(&s.Destination, 1, d, val)
	case "messaging.destination":
		err = sc.destination.prefer(&s.Destination, 2, d, val)
	case "messaging.system":
		err = keep(&s.MessagingSystem, d, val)
	case "db.operation.name":
		err = sc.operation.prefer(&s.DBOperation, 1, d, val)
	case "db.operation":
		err = sc.operation.prefer(&s.DBOperation, 2, d, val)
	case "db.collection.name":
		err = sc.collection.prefer(&s.DBCollection, 1, d, val)
	case "db.sql.table":
		err = sc.collection.prefer(&s.DBCollection, 2, d, val)
	case "db.mongodb.collection":
		err = sc.collection.prefer(&s.DBCollection, 3, d, val)
	case "db.cassandra.table":
		err = sc.collection.prefer(&s.DBCollection, 4, d, val)
	case "db.cosmosdb.container":
		err = sc.collection.prefer(&s.DBCollection, 5, d, val)
	}
	if sc.dims.Is(len(key)) && err == nil {
		s.Dims, err = sc.dims.Collect(s.Dims, key, func() ([]byte, error) { return text(d, val) })
	}
	return err
}

// event reads a checked event; exceptions are kept.
func (sc *scanner) event(b []byte) error {
	var name []byte
	for i := 0; i < len(b); {
		fd, _ := NextField(b, i)
		i = fd.Next
		if fd.Num == 2 {
			name = fd.Data
		}
	}
	if string(name) != "exception" || len(sc.span.Exceptions) >= maxExceptions {
		return nil
	}
	var e model.Exception
	for i := 0; i < len(b); {
		fd, _ := NextField(b, i)
		i = fd.Next
		if fd.Num != 3 {
			continue
		}
		key, val, err := attribute(fd.Data)
		if err != nil {
			return err
		}
		switch string(key) {
		case "exception.type":
			err = keep(&e.Type, fd.Data, val)
		case "exception.message":
			err = keep(&e.Message, fd.Data, val)
		}
		if err != nil {
			return err
		}
	}
	sc.span.Exceptions = append(sc.span.Exceptions, e)
	return nil
}

// maxExceptions is how many exceptions of a span are read.
const maxExceptions = 16
