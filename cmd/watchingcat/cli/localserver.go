package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/storage"
)

// openLocalServer serves the API from the data folder to this process alone, for commands that ask a server, when none runs. It reads no
// topic, evaluates no rule and sends no notification. It listens on a socket in a folder that only this user can enter.
func openLocalServer(ctx context.Context, cfg *config.Loaded, progress io.Writer) (_ *remote, closed func() error, err error) {
	if _, err := os.Stat(filepath.Join(cfg.DataDir, badger.ManifestFilename)); err != nil {
		return nil, nil, fmt.Errorf("no server answers at %s (%sHTTP_ADDR), and the data folder %s (%sDATA_DIR) holds no views to work on",
			cfg.HTTPAddr, config.EnvPrefix, cfg.DataDir, config.EnvPrefix)
	}
	c := cfg.Config
	if c.ExternalURL == "" {
		c.ExternalURL = c.Scheme() + "://" + c.HTTPAddr
	}
	c.AuthEnabled, c.RuleFiles, c.ClusterAddr = nil, nil, ""
	dir, err := os.MkdirTemp("", "watchingcat-")
	if err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(dir, "api")
	a, err := app.OpenWith(ctx, c, app.NewLogger(c, app.LogFormat(c, progress)).Level(zerolog.WarnLevel),
		func(ctx context.Context, a *app.App) error { return a.ListenUnix(ctx, socket) })
	if err != nil {
		if errors.Is(err, storage.ErrInUse) {
			err = fmt.Errorf("%w, by a process that does not answer at %s (%sHTTP_ADDR)", err, cfg.HTTPAddr, config.EnvPrefix)
		}
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	fmt.Fprintln(progress, "no server answers at", cfg.HTTPAddr+": working on the data folder", cfg.DataDir)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- a.Serve(serving) }()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	r := &remote{base: "http://watchingcat", client: &http.Client{Transport: &http.Transport{DialContext: dial}}}
	return r, func() error {
		stop()
		return errors.Join(<-served, a.Close(), os.RemoveAll(dir))
	}, nil
}
