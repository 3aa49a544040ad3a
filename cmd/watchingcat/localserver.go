package main

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

	"github.com/gaurav/watchingcat/storage"
)

// openLocalServer serves the API from the data folder to this process alone, for commands that ask a server, when none runs. It reads no
// topic, evaluates no rule and tells nobody. It listens on a socket in a folder that only this user can enter.
func openLocalServer(ctx context.Context, cfg *loaded, progress io.Writer) (_ *remote, closed func() error, err error) {
	if _, err := os.Stat(filepath.Join(cfg.DataDir, badger.ManifestFilename)); err != nil {
		return nil, nil, fmt.Errorf("no server answers at %s (%sHTTP_ADDR), and the data folder %s (%sDATA_DIR) holds no views to work on", cfg.HTTPAddr, envPrefix, cfg.DataDir, envPrefix)
	}
	c := cfg.Config
	if c.ExternalURL == "" {
		c.ExternalURL = c.scheme() + "://" + c.HTTPAddr
	}
	c.AuthEnabled, c.RuleFiles, c.ClusterAddr = nil, nil, ""
	dir, err := os.MkdirTemp("", "watchingcat-")
	if err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(dir, "api")
	a, err := newApp(ctx, c, newLogger(c, logFormat(c, progress)).Level(zerolog.WarnLevel), func(ctx context.Context, a *App) (err error) {
		var lc net.ListenConfig
		a.listener, err = lc.Listen(ctx, "unix", socket)
		return err
	})
	if err != nil {
		if errors.Is(err, storage.ErrInUse) {
			err = fmt.Errorf("%w, by a process that does not answer at %s (%sHTTP_ADDR)", err, cfg.HTTPAddr, envPrefix)
		}
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	fmt.Fprintln(progress, "no server answers at", cfg.HTTPAddr+": working on the data folder", cfg.DataDir)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(serving, a.listener) }()
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
