package main

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/cmd/watchingcat/shop"
	"github.com/gaurav/watchingcat/deploy/bench/tempdb"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// logMessages are what the services of a shop log about n requests.
func logMessages(seed uint64, requests int) (messages [][]byte, lines int, err error) {
	s := shop.New(seed)
	at := time.Date(2026, 1, 1, 0, int(seed), 0, 0, time.UTC)
	for i := range requests {
		at = at.Add(time.Duration(s.Request(at)) * time.Second / 10_000)
		if i%100 != 99 {
			continue
		}
		b, err := s.Logs()
		if err != nil || b == nil {
			return nil, 0, err
		}
		if _, err := s.Take(1); err != nil {
			return nil, 0, err
		}
		var u plog.ProtoUnmarshaler
		ld, err := u.UnmarshalLogs(b)
		if err != nil {
			return nil, 0, err
		}
		lines += ld.LogRecordCount()
		messages = append(messages, b)
	}
	return messages, lines, nil
}

func pdataLogs(m []byte) error {
	var u plog.ProtoUnmarshaler
	_, err := u.UnmarshalLogs(m)
	return err
}

// prepLogs is the path of log lines from message bytes to Badger: volume, patterns, exceptions, the lines themselves.
func prepLogs(_, messages [][]byte) (func() error, func(), error) {
	db, err := tempdb.Open(*dir, "watchingcat-bench-")
	if err != nil {
		return nil, nil, err
	}
	end := func() { _ = db.Remove() }
	in, err := newIngest(db, model.Config{LogBytes: 2 << 30})
	if err != nil {
		end()
		return nil, nil, err
	}
	return func() error {
		for _, m := range messages {
			if !in.acc.Begin(model.Record{Offset: in.offset, LeaderEpoch: -1, Value: m}) {
				continue
			}
			err := ingest.DecodeLogs(m, nil, 100_000, func(r *model.Resource, l *logs.Record) {
				in.spans++
				in.acc.Log(r, l)
			})
			if err != nil {
				return err
			}
			in.acc.End()
			in.offset++
			if in.spans >= *flush {
				if err := in.checkpoint(); err != nil {
					return err
				}
			}
		}
		return in.checkpoint()
	}, end, nil
}
