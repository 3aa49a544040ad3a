// Package backups says what a backup of this program holds, where it goes by the settings, and how far a restored one is behind the topics.
package backups

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/backup"
	"github.com/gaurav/watchingcat/storage/backup/s3"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

// Describe says what a state holds.
func Describe(kv storage.KV) (c backup.Contents, err error) {
	layout, err := model.ReadLayout(kv)
	if err != nil {
		return c, err
	}
	versions, err := storage.Versions(kv)
	if err != nil {
		return c, err
	}
	for _, v := range versions {
		stored, _, known, err := views.StoredFormat(kv, v, 0)
		if err != nil {
			return c, err
		}
		if known {
			c.Views = append(c.Views, backup.View{Version: v, Format: stored, Live: v == layout.Live})
		}
		points, err := kv.Positions(v, viewsamples.MetricsShard)
		if err != nil {
			return c, err
		}
		if len(points) > 0 {
			c.Samples = append(c.Samples, v)
		}
	}
	metrics := uint32(0)
	if n := len(layout.Samples); n > 0 {
		metrics = layout.Samples[n-1].Version
	}
	for _, of := range []struct {
		version uint32
		shard   uint16
	}{{layout.Live, 0}, {metrics, viewsamples.MetricsShard}} {
		list, err := kv.Positions(of.version, of.shard)
		if err != nil {
			return c, err
		}
		for _, p := range list {
			c.Positions = append(c.Positions, backup.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset})
		}
	}
	slices.SortStableFunc(c.Positions, func(a, b backup.Position) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return c, nil
}

// Source is what is backed up.
func Source(db *storage.DB, folders *samples.Folders, version string) backup.Source {
	host, _ := os.Hostname()
	return backup.Source{State: db, Samples: folders, Describe: Describe, Program: version, Host: host, Now: time.Now}
}

// Runner makes the backups of a process that serves.
func Runner(cfg *config.Config, src backup.Source, reg prometheus.Registerer, log zerolog.Logger) *backup.Runner {
	return backup.NewRunner(backup.RunnerConfig{Source: src, Location: cfg.BackupURL, Keep: cfg.BackupKeep, Interval: cfg.BackupInterval,
		BytesPerSecond: int64(cfg.BackupRate), Logger: log, Registerer: reg,
		Open: func(ctx context.Context, location string) (backup.Store, error) { return Open(ctx, cfg, location) }})
}

// Open opens the store at a location: a folder, or a URL of S3.
func Open(ctx context.Context, cfg *config.Config, location string) (backup.Store, error) {
	if host, err := os.Hostname(); err == nil {
		location = strings.ReplaceAll(location, "{hostname}", host)
	}
	if strings.HasPrefix(location, s3.Scheme) {
		t, err := cfg.Transport()
		if err != nil {
			return nil, err
		}
		if err := s3.Check(location); err != nil {
			return nil, config.Usage("%v", err)
		}
		return s3.Open(ctx, location, t)
	}
	if strings.Contains(location, "://") {
		return nil, config.Usage("%q is neither a folder nor a URL s3://bucket/prefix", location)
	}
	dir, err := filepath.Abs(location)
	if err != nil {
		return nil, err
	}
	data, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if within, err := filepath.Rel(data, dir); err == nil && filepath.IsLocal(within) {
		return nil, config.Usage("%s lies in the data folder %s (%sDATA_DIR), with which it would be lost: give another folder", dir, data,
			config.EnvPrefix)
	}
	return backup.Folder(dir), nil
}

// CurrentFormat is the format of the views that this program writes.
func CurrentFormat() uint64 {
	_, current, _, _ := views.StoredFormat(storage.NewMem(storage.MemOptions{}), 0, 0)
	return current
}

// RestoreOptions are how a backup is restored with the settings.
func RestoreOptions(cfg *config.Config, log zerolog.Logger, read func(int64)) backup.RestoreOptions {
	return backup.RestoreOptions{Describe: Describe, Read: read, State: storage.Options{MinFreeBytes: cfg.MinFreeDiskBytes, Logger: log},
		Samples: samples.Options{MaxSeries: cfg.LimitSeries, MinFreeBytes: cfg.MinFreeDiskBytes}}
}

// Behind is a position and the range of offsets that the brokers hold.
type Behind struct {
	backup.Position
	First, End int64 // -1: not known
}

// brokersTimeout bounds how long brokers are asked for offsets.
const brokersTimeout = 10 * time.Second

// Compare asks the brokers how far positions are behind. With an error, what is not known is -1.
func Compare(ctx context.Context, cfg *config.Config, list []backup.Position) ([]Behind, error) {
	out := make([]Behind, len(list))
	var topics []string
	for i, p := range list {
		out[i] = Behind{p, -1, -1}
		topics = append(topics, p.Topic)
	}
	if len(cfg.KafkaBrokers) == 0 || len(list) == 0 {
		return out, nil
	}
	client, err := cfg.Kafka().Client()
	if err != nil {
		return out, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, brokersTimeout)
	defer cancel()
	slices.Sort(topics)
	topics = slices.Compact(topics)
	first, err := source.StartOffsets(ctx, kadm.NewClient(client), topics...)
	if err != nil {
		return out, fmt.Errorf("ask the brokers for offsets: %w", err)
	}
	end, err := source.EndOffsets(ctx, kadm.NewClient(client), topics...)
	if err != nil {
		return out, fmt.Errorf("ask the brokers for offsets: %w", err)
	}
	for i := range out {
		id := source.PartitionID{Topic: out[i].Topic, Partition: out[i].Partition}
		if n, ok := first[id]; ok {
			out[i].First = n
		}
		if n, ok := end[id]; ok {
			out[i].End = n
		}
	}
	return out, nil
}
