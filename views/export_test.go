package views

import (
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// Decoders read stored values; each begins with an empty Set.
var Decoders = []func(v []byte) error{
	func(v []byte) error { _, err := emptySet().decodeEntry(v); return err },
	func(v []byte) error { return emptySet().restoreFold(v) },
	func(v []byte) error { return emptySet().edges.pairing.RestoreGroups(v) },
	func(v []byte) error {
		return traces.DecodeBlock(v, traces.AnyTime, func(*traces.Trace) bool { return true })
	},
	decodeOne(func(d *model.Decoder) { new(drain.Cluster).Decode(d) }),
	decodeOne(func(d *model.Decoder) { new(traces.RawMeta).Decode(d) }),
	decodeOne(func(d *model.Decoder) { new(model.Histogram).Decode(d) }),
}

func emptySet() *Set {
	s, err := Open(storage.NewMem(storage.MemOptions{}), model.Config{TraceBytes: 1 << 20, LogBytes: 1 << 20})
	if err != nil {
		panic(err)
	}
	return s
}

func decodeOne(decode func(d *model.Decoder)) func(v []byte) error {
	return func(v []byte) error {
		d := model.Decoder{B: v}
		decode(&d)
		return d.Err
	}
}
