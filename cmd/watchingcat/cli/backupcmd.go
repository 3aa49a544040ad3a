package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/backups"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/backup"
	"github.com/gaurav/watchingcat/storage/samples"
)

func backupCommand() *cobra.Command {
	var q backupFlags
	c := &cobra.Command{
		Use:   "backup [LOCATION]",
		Short: "Back up the state while the server runs",
		Long: "Write the state to LOCATION: a folder, or s3://bucket/prefix. The default is WATCHINGCAT_BACKUP_URL. The backup holds the views, the " +
			"positions in the topics, raw records, metric samples, alerts, incidents, silences, and the log of notifications, all as of one moment. It does not " +
			"hold settings, rule files, or the topics of an embedded broker.\n\n" +
			"The running server writes the backup, on its machine and with its credentials, and continues to work. If no server answers, the command backs up " +
			"the data folder itself. Credentials for S3 come from AWS' default chain (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, files, instance).",
		Example: "  watchingcat backup /var/backups/watchingcat --keep 7\n" +
			"  watchingcat backup s3://backups/watchingcat\n" +
			"  watchingcat backup 's3://backups/watchingcat?endpoint=https://minio.example.org:9000'\n" +
			"  watchingcat backup --list /var/backups/watchingcat",
		Args: atMostOne("LOCATION"),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			q.keepSet = c.Flags().Changed("keep")
			if q.keep < 0 {
				return config.Usage("--keep %d is negative", q.keep)
			}
			return q.run(c.Context(), cfg, slices.Concat(args, []string{""})[0], c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	config.AddSettings(c, config.LocalNote, slices.Concat(config.ServerSettings, []string{"data_dir", "backup_url", "backup_keep", "backup_rate"})...)
	c.Flags().IntVar(&q.keep, "keep", 0, "keep this `number` of complete backups at LOCATION and delete older ones; 0: keep all; default: backup_keep if LOCATION is backup_url, otherwise all")
	c.Flags().BoolVar(&q.list, "list", false, "list the backups at LOCATION instead, the newest first")
	return c
}

type backupFlags struct {
	keep          int
	keepSet, list bool
}

// atMostOne takes one argument or none.
func atMostOne(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return config.Usage("unexpected argument %q: give `%s [%s]`", args[1], c.CommandPath(), name)
		}
		return nil
	}
}

func (q *backupFlags) run(ctx context.Context, cfg *config.Loaded, location string, out, progress io.Writer) error {
	if location != "" && !strings.Contains(location, "://") {
		abs, err := filepath.Abs(location) // the server's working directory may be another
		if err != nil {
			return err
		}
		location = abs
	}
	if q.list {
		return listBackups(ctx, cfg, location, out)
	}
	if serverAnswers(ctx, &cfg.Config) {
		return q.remote(ctx, cfg, location, out, progress)
	}
	return q.local(ctx, cfg, location, out, progress)
}

func listBackups(ctx context.Context, cfg *config.Loaded, location string, out io.Writer) error {
	if location == "" {
		location = cfg.BackupURL
	}
	if location == "" {
		return config.Usage("%v", backup.ErrNoLocation)
	}
	st, err := backups.Open(ctx, &cfg.Config, location)
	if err != nil {
		return err
	}
	list, err := backup.List(ctx, st)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tSIZE\tAGE")
	for _, e := range list {
		state := "complete"
		if !e.Complete {
			state = "incomplete"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.ID, state, units.BytesSize(float64(e.Bytes)), ageOf(e.Modified))
	}
	return w.Flush()
}

func ageOf(t time.Time) string { return time.Since(t).Round(time.Second).String() }

const backupsPath = "/api/v1/backups"

func (q *backupFlags) remote(ctx context.Context, cfg *config.Loaded, location string, out, progress io.Writer) error {
	server, err := remoteOf(cfg)
	if err != nil {
		return err
	}
	var body rest.BackupRequest
	if location != "" {
		body.Location = &location
	}
	if keep := int64(q.keep); q.keepSet {
		body.Keep = &keep
	}
	var b rest.Backup
	if err := server.call(ctx, http.MethodPost, backupsPath, body, &b); err != nil {
		return err
	}
	show := newReplayProgress(progress)
	defer show.close()
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	for b.State == rest.BackupStateRunning {
		show.one("backup", 0, 0, fmt.Sprintf("backup %s: %s written", b.Id, units.BytesSize(float64(b.Bytes))))
		select {
		case <-t.C:
		case <-ctx.Done():
			show.close()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), remoteTimeout)
			defer cancel()
			if err := server.call(ctx, http.MethodDelete, backupsPath+"/"+b.Id, nil, nil); err != nil {
				return fmt.Errorf("the backup %s continues in the server: canceling it failed: %w", b.Id, err)
			}
			return interruptedError{fmt.Sprintf("the backup %s was canceled", b.Id)}
		}
		if err := server.call(ctx, http.MethodGet, backupsPath+"/"+b.Id, nil, &b); err != nil && ctx.Err() == nil {
			return err
		}
	}
	show.close()
	if b.State != rest.BackupStateComplete {
		return fmt.Errorf("the backup %s ended as %s: %s", b.Id, b.State, *b.Error)
	}
	var list []backup.Position
	if b.Positions != nil {
		for _, p := range *b.Positions {
			list = append(list, backup.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset})
		}
	}
	madeBackup(out, b.Id, b.Location, b.Bytes, b.Finished.Sub(b.Started), list)
	if b.Error != nil {
		return errors.New(*b.Error)
	}
	return nil
}

func madeBackup(out io.Writer, id, location string, bytes int64, took time.Duration, positions []backup.Position) {
	fmt.Fprintf(out, "backup %s: %s in %v to %s\n", id, units.BytesSize(float64(bytes)), took.Round(100*time.Millisecond), location)
	fmt.Fprintf(out, "a restored server continues at %d positions; `watchingcat restore` prints them\n", len(positions))
}

// local backs up a data folder that no server uses.
func (q *backupFlags) local(ctx context.Context, cfg *config.Loaded, location string, out, progress io.Writer) (err error) {
	keep := q.keep
	if location == "" || location == cfg.BackupURL {
		if location = cfg.BackupURL; !q.keepSet {
			keep = cfg.BackupKeep
		}
	}
	if location == "" {
		return config.Usage("%v", backup.ErrNoLocation)
	}
	if _, err := os.Stat(cfg.DataDir); err != nil {
		return fmt.Errorf("no server answers at %s (%sHTTP_ADDR), and there is no data folder to back up: %w", cfg.HTTPAddr, config.EnvPrefix, err)
	}
	st, err := backups.Open(ctx, &cfg.Config, location)
	if err != nil {
		return err
	}
	db, err := app.OpenState(ctx, cfg.Config, app.NewLogger(cfg.Config, app.LogFormat(cfg.Config, progress)).Level(zerolog.WarnLevel))
	if errors.Is(err, storage.ErrInUse) {
		return fmt.Errorf("%w, by a process that does not answer at %s (%sHTTP_ADDR)", err, cfg.HTTPAddr, config.EnvPrefix)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	fmt.Fprintln(progress, "no server answers at", cfg.HTTPAddr+": working on the data folder", cfg.DataDir)
	folders := &samples.Folders{DataDir: cfg.DataDir, Options: samples.Options{Retention: time.Duration(cfg.RetMetrics)}}
	show, written := newReplayProgress(progress), int64(0)
	defer show.close()
	m, err := backup.Take(ctx, st, backups.Source(db, folders, app.Version()), backup.Options{Keep: keep,
		BytesPerSecond: int64(cfg.BackupRate), Wrote: func(n int64) {
			written += n
			show.one("backup", 0, 0, fmt.Sprintf("backup: %s written", units.BytesSize(float64(written))))
		}})
	show.close()
	if err != nil && ctx.Err() != nil {
		return interruptedError{"the backup was canceled"}
	}
	if m != nil {
		madeBackup(out, m.ID, st.String(), m.Size(), m.Finished.Sub(m.Started), m.Positions)
	}
	return err
}

func restoreCommand() *cobra.Command {
	check := false
	c := &cobra.Command{
		Use:   "restore LOCATION",
		Short: "Restore a backup into an empty data folder",
		Long: "Restore a backup that `watchingcat backup` made into the data folder, which must be empty. LOCATION is a folder or s3://bucket/prefix, from " +
			"which the newest complete backup is taken, or one backup in it, by its ID at the end.\n\n" +
			"Every file is compared with its checksum. An interrupted restore leaves a folder that the server refuses; run the command again, which begins anew. " +
			"Then start the server with the same settings: it continues at the printed positions. With brokers set, the command also prints how many " +
			"records each partition is behind, and how many the brokers have deleted.",
		Example: "  watchingcat restore /var/backups/watchingcat --data-dir /var/lib/watchingcat\n" +
			"  watchingcat restore s3://backups/watchingcat/20261201T040000Z-1f2e --data-dir data\n" +
			"  watchingcat restore /var/backups/watchingcat --check",
		Args: needArgs("LOCATION"),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			return restore(c.Context(), cfg, args[0], check, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	config.AddSettings(c, config.OthersTaken, slices.Concat([]string{"data_dir", "min_free_disk_bytes", "ca_file"}, config.BrokerSettings)...)
	c.Flags().BoolVar(&check, "check", false, "only read the backup and compare it with its checksums; restore nothing")
	return c
}

func restore(ctx context.Context, cfg *config.Loaded, location string, check bool, out, progress io.Writer) error {
	m, st, err := chosenBackup(ctx, cfg, location)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "backup %s of %s, made by watchingcat %s, %s\n", m.ID, m.Host, m.Program, units.BytesSize(float64(m.Size())))
	show, done := newReplayProgress(progress), int64(0)
	defer show.close()
	read := func(n int64) {
		done += n
		show.one("restore", done, m.Size(), fmt.Sprintf("%s of %s read", units.BytesSize(float64(done)), units.BytesSize(float64(m.Size()))))
	}
	if check {
		err = backup.Verify(ctx, st, m, read)
	} else {
		log := app.NewLogger(cfg.Config, app.LogFormat(cfg.Config, progress)).Level(zerolog.WarnLevel)
		err = backup.Restore(ctx, st, m, cfg.DataDir, backups.RestoreOptions(&cfg.Config, log, read))
	}
	show.close()
	switch {
	case err != nil && ctx.Err() != nil:
		return interruptedError{"interrupted: the data folder is not usable; run the command again, which begins anew"}
	case errors.Is(err, storage.ErrNotEmpty):
		return fmt.Errorf("%w: give another folder (%sDATA_DIR), or move its contents away", err, config.EnvPrefix)
	case err != nil:
		return err
	case check:
		fmt.Fprintf(out, "backup %s is complete; all checksums agree\n", m.ID)
		return nil
	}
	fmt.Fprintf(out, "backup %s restored to %s\n", m.ID, cfg.DataDir)
	continues(ctx, cfg, m, out, progress)
	return nil
}

// chosenBackup is the backup that a location names, or the newest one there.
func chosenBackup(ctx context.Context, cfg *config.Loaded, location string) (*backup.Manifest, backup.Store, error) {
	root, id := backup.Split(location)
	st, err := backups.Open(ctx, &cfg.Config, root)
	if err != nil {
		return nil, nil, err
	}
	if id == "" {
		if id, err = backup.Newest(ctx, st); err != nil {
			return nil, nil, err
		}
	}
	m, err := backup.ReadManifest(ctx, st, id)
	if err != nil {
		return nil, nil, err
	}
	for _, v := range m.Views {
		if current := backups.CurrentFormat(); v.Format > current {
			return nil, nil, fmt.Errorf("the views in backup %s have format %d, this version of WatchingCat reads %d: use the version that made it (%s), or a later one",
				m.ID, v.Format, current, m.Program)
		}
	}
	return m, st, nil
}

// continues says where the server continues, how far behind that is, and what it needs before.
func continues(ctx context.Context, cfg *config.Loaded, m *backup.Manifest, out, progress io.Writer) {
	fmt.Fprintf(out, "the state is as of %s, %s ago; the server continues at\n", m.Started.UTC().Format(time.RFC3339), ageOf(m.Started))
	list, err := backups.Compare(ctx, &cfg.Config, m.Positions)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITION\tPOSITION\tBEHIND\tDELETED BY KAFKA")
	lost := int64(0)
	for _, b := range list {
		behind, deleted := "-", "-"
		if b.End >= 0 {
			behind = fmt.Sprint(b.End - b.Offset)
		}
		if b.First >= 0 {
			gap := max(0, b.First-b.Offset)
			deleted, lost = fmt.Sprint(gap), lost+gap
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", b.Topic, b.Partition, b.Offset, behind, deleted)
	}
	_ = w.Flush()
	switch {
	case err != nil:
		fmt.Fprintln(progress, "the brokers did not say how far behind that is:", err)
	case len(cfg.KafkaBrokers) == 0:
		fmt.Fprintf(progress, "set %sKAFKA_BROKERS to see how many records behind that is\n", config.EnvPrefix)
	}
	if lost > 0 {
		fmt.Fprintf(out, "%d records that the brokers deleted will be missing: the server marks the time as a gap\n", lost)
	}
	for _, v := range m.Views {
		if v.Live && v.Format != backups.CurrentFormat() {
			fmt.Fprintf(out, "the views have format %d, this version writes %d: run `watchingcat migrate` before the server\n", v.Format,
				backups.CurrentFormat())
		}
	}
}
