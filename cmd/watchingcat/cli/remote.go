package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// remoteTimeout bounds one request.
const remoteTimeout = 3 * time.Minute

// remote is the running server's API.
type remote struct {
	base, token string
	client      *http.Client
}

func remoteOf(cfg *config.Loaded) (remote, error) {
	t, err := cfg.Transport()
	return remote{base: serverURL(&cfg.Config), token: string(cfg.Token), client: &http.Client{Transport: t}}, err
}

// withServer runs a command of which the running server does the work.
func withServer(run func(c *cobra.Command, server *remote, args []string) error) func(c *cobra.Command, args []string) error {
	return func(c *cobra.Command, args []string) error {
		cfg, err := config.Load(c.Flags(), os.Environ())
		if err != nil {
			return err
		}
		server, err := remoteOf(cfg)
		if err != nil {
			return err
		}
		return run(c, &server, args)
	}
}

// serverURL is where commands reach the server.
func serverURL(c *config.Config) string {
	return cmp.Or(strings.TrimSuffix(c.ServerURL, "/"), c.Scheme()+"://"+c.HTTPAddr)
}

// serverAnswers reports whether a server listens there. Where an address is given for commands it is taken at its word.
func serverAnswers(ctx context.Context, c *config.Config) bool {
	return c.ServerURL != "" || answers(ctx, c.HTTPAddr)
}

// call sends and reads JSON. A mistake of the caller is a config.UsageError.
func (r *remote) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, &b)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
			return fmt.Errorf("ask the server: %w (%sCA_FILE names the CA of its certificate)", unknown, config.EnvPrefix)
		}
		return fmt.Errorf("ask the server: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		var p rest.Problem
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p); err != nil || p.Error == "" {
			return fmt.Errorf("the server at %s answers %s", r.base, resp.Status)
		}
		if resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusNotFound {
			return config.Usage("%s", p.Error)
		}
		return fmt.Errorf("%s; %s", p.Error, p.Advice)
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(answer); err != nil {
		return fmt.Errorf("the server at %s answers something else: %w", r.base, err)
	}
	return nil
}

// answers reports whether a server listens at the address of the API.
func answers(ctx context.Context, addr string) bool {
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
