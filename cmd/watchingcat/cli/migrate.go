package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/replay"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

func migrateCommand() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Check the format of the stored views and rebuild them if this version needs another one",
		Long: "Check the format of the views in the data folder. If this version of WatchingCat writes another format, rebuild the views from the " +
			"topics and replace the old ones. Views of data that the topics no longer hold are lost; alerts, silences and notifications are kept. Stop the " +
			"server first. If the command is interrupted, run it again: it continues.",
		Example: "  watchingcat migrate --dry-run --config watchingcat.yml\n  watchingcat migrate --config watchingcat.yml",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			return migrate(c.Context(), cfg, dry, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	config.AddSettings(c, config.OthersUsed, slices.Concat(config.BrokerSettings, []string{"data_dir"})...)
	c.Flags().BoolVar(&dry, "dry-run", false, "only report whether a migration is needed")
	return c
}

func migrate(ctx context.Context, cfg *config.Loaded, dry bool, out, progress io.Writer) (err error) {
	log := app.NewLogger(cfg.Config, app.LogFormat(cfg.Config, progress)).Level(zerolog.WarnLevel)
	needed, err := migrationNeeded(ctx, cfg, log, out)
	if err != nil || !needed {
		return err
	}
	if dry {
		fmt.Fprintln(out, "needed: a replay from the topics; without --dry-run it is done now")
		return nil
	}
	l, err := openLocalReplayer(ctx, cfg, log, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	id := ""
	for _, r := range l.folder.Generations.Replays() {
		switch r.State {
		case replay.Running, replay.Paused:
			id = r.ID
			if err := l.do(ctx, "resume", id); err != nil {
				return err
			}
		}
	}
	if id == "" {
		r, err := l.begin(ctx, rest.ReplayRequest{})
		if err != nil {
			return err
		}
		id = r.Id
	}
	return watchReplay(ctx, l, id, out, progress)
}

// migrationNeeded says what is stored and whether the live views cannot be read.
func migrationNeeded(ctx context.Context, cfg *config.Loaded, log zerolog.Logger, out io.Writer) (needed bool, err error) {
	if _, err := os.Stat(cfg.DataDir); err != nil {
		return false, fmt.Errorf("there is no data folder to look at: %w", err)
	}
	db, err := app.OpenState(ctx, cfg.Config, log)
	if err != nil {
		if errors.Is(err, storage.ErrInUse) {
			return false, fmt.Errorf("%w: stop the server first", err)
		}
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	layout, err := model.ReadLayout(db)
	if err != nil {
		return false, err
	}
	for _, v := range layout.Versions() {
		stored, current, known, err := views.StoredFormat(db, v, 0)
		if err != nil {
			return false, err
		}
		switch {
		case !known:
			fmt.Fprintf(out, "views, version %d: nothing stored yet; this program writes format %d\n", v, current)
			continue
		case stored == current:
			fmt.Fprintf(out, "views, version %d: format %d, as this program writes\n", v, stored)
			continue
		}
		fmt.Fprintf(out, "views, version %d: format %d; this program writes %d\n", v, stored, current)
		needed = true
	}
	if !needed {
		fmt.Fprintln(out, "nothing to do")
	}
	return needed, nil
}
