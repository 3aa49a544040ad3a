package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/replay"
	"github.com/gaurav/watchingcat/storage"
)

// ReplayFolder is the data folder of a process that does nothing but replay.
type ReplayFolder struct {
	app         *App
	Generations *replay.Generations
}

// OpenState opens the state in the data folder and nothing else.
func OpenState(ctx context.Context, cfg config.Config, log zerolog.Logger) (*storage.DB, error) {
	a := &App{cfg: cfg, log: log}
	err := a.openState(ctx)
	return a.db, err
}

// OpenReplays opens the data folder for replays; blank opens it although the stored views cannot be read.
func OpenReplays(ctx context.Context, cfg config.Config, log zerolog.Logger, blank bool) (_ *ReplayFolder, err error) {
	if err := cfg.NeedBrokers(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(cfg.DataDir); err != nil {
		return nil, fmt.Errorf("there is no data folder to work on: %w", err)
	}
	f := &ReplayFolder{app: &App{cfg: cfg, log: log}}
	a := f.app
	if err = a.openState(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if a.dead, err = ingest.NewDeadLetter(cfg.Kafka(), cfg.KafkaDeadLetterTopic, 0); err != nil {
		return nil, config.Usage("%v", err)
	}
	c := a.generations(nil)
	c.Offline, c.Blank = true, blank
	if f.Generations, err = replay.OpenGenerations(c); err != nil {
		return nil, openError(err)
	}
	return f, nil
}

// Answers are the replays as the API names them.
func (f *ReplayFolder) Answers() replayAnswers { return replayAnswers{f.Generations} }

// Close closes the folder; nothing may run.
func (f *ReplayFolder) Close() error {
	var errs []error
	if f.Generations != nil {
		errs = append(errs, f.Generations.Close())
	}
	if f.app.dead != nil {
		errs = append(errs, f.app.dead.Close())
	}
	return errors.Join(append(errs, f.app.db.Close())...)
}
