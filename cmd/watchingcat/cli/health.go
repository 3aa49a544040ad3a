package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// healthTimeout bounds the request of the health command.
const healthTimeout = 10 * time.Second

func healthCommand() *cobra.Command {
	var ready bool
	c := &cobra.Command{
		Use:   "health",
		Short: "Check that the server on this machine works",
		Long: "Check that the server at http_addr works (GET /livez), or with --ready that it has read the topics (GET /readyz). The exit code is 0 or 1, so " +
			"containers without a shell can use it as their health check.",
		Example: "  watchingcat health\n  watchingcat health --ready",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			url := cfg.Scheme() + "://" + localAddr(cfg.HTTPAddr)
			if ready {
				url += "/readyz"
			} else {
				url += "/livez"
			}
			ctx, cancel := context.WithTimeout(c.Context(), healthTimeout)
			defer cancel()
			if err := probe(ctx, ownClient(), url); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "ok")
			return nil
		},
	}
	config.AddSettings(c, config.OthersTaken, "http_addr", "tls_cert", "tls_key")
	c.Flags().BoolVar(&ready, "ready", false, "check that the server has read the topics, too")
	return c
}

// localAddr is where a server that listens on every address is reached on its own machine.
func localAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// ownClient calls the server of this process or machine, under an address that its certificate need not have.
func ownClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // no secret is sent, and the answer decides about this machine only
}

// probe fails unless the URL answers 200.
func probe(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
		return fmt.Errorf("%s answered %s: %s", url, res.Status, bytes.TrimSpace(b))
	}
	return nil
}
