package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/configtopic"
	"github.com/gaurav/watchingcat/storage"
)

// accountsTimeout bounds work on the topic of what users make.
const accountsTimeout = time.Minute

// onTopic runs fn on the accounts that the config topic holds; who may write there may decide who may.
func onTopic(ctx context.Context, cfg *config.Loaded, stderr io.Writer,
	fn func(ctx context.Context, a *auth.Accounts, by string) error) (err error) {
	if len(cfg.KafkaBrokers) == 0 {
		return config.Usage("give %sTOKEN of an admin to ask the running server, or %sKAFKA_BROKERS to work on the topic %s",
			config.EnvPrefix, config.EnvPrefix, cfg.KafkaConfigTopic)
	}
	ctx, cancel := context.WithTimeout(ctx, accountsTimeout)
	defer cancel()
	kv := storage.NewMem(storage.MemOptions{})
	defer func() { err = errors.Join(err, kv.Close()) }()
	topic, err := configtopic.Open(cfg.Kafka(), cfg.KafkaConfigTopic, kv, zerolog.New(stderr).Level(zerolog.WarnLevel), nil)
	if err != nil {
		return config.Usage("%v", err)
	}
	defer func() { err = errors.Join(err, topic.Close()) }()
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- topic.Run(run) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	by := "command line"
	if u, err := user.Current(); err == nil {
		by += " (" + u.Username + ")"
	}
	return fn(ctx, &auth.Accounts{KV: kv, Objects: topic}, by)
}

// askServer asks the running server once.
func askServer(ctx context.Context, cfg *config.Loaded, method, path string, body, answer any) error {
	server, err := remoteOf(cfg)
	if err != nil {
		return err
	}
	return server.call(ctx, method, path, body, answer)
}

func settingsCommand(use, short, long, example string, args cobra.PositionalArgs,
	run func(c *cobra.Command, cfg *config.Loaded, args []string) error) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long + "\n\n" + accountsHelp, Example: example, Args: args,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			return accountUsage(run(c, cfg, args))
		}}
	config.AddSettings(c, config.OthersTaken,
		slices.Concat(config.ServerSettings, config.BrokerSettings, []string{"kafka_config_topic"})...)
	return c
}

// accountUsage makes what the user said wrong a config.UsageError.
func accountUsage(err error) error {
	if errors.Is(err, auth.ErrInvalid) || errors.Is(err, auth.ErrUnknown) || errors.Is(err, auth.ErrExists) {
		return config.Usage("%v", err)
	}
	return err
}

const accountsHelp = "If WATCHINGCAT_TOKEN holds the API token of an admin, the command calls the running server. Otherwise it works directly on the " +
	"configuration topic in Kafka and needs the settings of the brokers."

func tokenCommand() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Create, list and revoke API tokens",
		Long: "Create, list and revoke API tokens.\n\n" + accountsHelp, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(tokenCreateCommand(), tokenListCommand(), tokenRevokeCommand())
	return c
}

func tokenCreateCommand() *cobra.Command {
	var role, name string
	var life time.Duration
	create := settingsCommand("create", "Create an API token and print it",
		"Create an API token and print it. The token is not shown again.",
		"  watchingcat token create --name grafana --role viewer --expires 720h", noArgs,
		func(c *cobra.Command, cfg *config.Loaded, _ []string) error {
			r, err := auth.ParseRole(role)
			if err != nil {
				return err
			}
			in := rest.TokenInput{Name: name, Role: rest.Role(role)}
			var expires time.Time
			if life > 0 {
				expires = time.Now().Add(life).UTC().Truncate(time.Second)
				in.ExpiresAt = &expires
			}
			var out rest.NewToken
			if cfg.Token != "" {
				err = askServer(c.Context(), cfg, "POST", "/api/v1/tokens", in, &out)
			} else {
				err = onTopic(c.Context(), cfg, c.ErrOrStderr(), func(ctx context.Context, a *auth.Accounts, by string) (err error) {
					_, out.Token, err = a.CreateToken(ctx, by, name, r, expires, time.Now())
					return err
				})
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), out.Token)
			return nil
		})
	create.Flags().StringVar(&role, "role", "viewer", "`role` of the token: viewer, editor or admin")
	create.Flags().StringVar(&name, "name", "", "`name` of the token, shown in lists and in the audit trail")
	create.Flags().DurationVar(&life, "expires", 0, "lifetime of the token, as 720h; default: until it is revoked")
	return create
}

func tokenListCommand() *cobra.Command {
	return settingsCommand("list", "List API tokens", "List API tokens with their role, creator and expiry.", "  watchingcat token list",
		noArgs, func(c *cobra.Command, cfg *config.Loaded, _ []string) error {
			var out rest.TokenList
			if cfg.Token != "" {
				if err := askServer(c.Context(), cfg, "GET", "/api/v1/tokens", nil, &out); err != nil {
					return err
				}
			} else if err := onTopic(c.Context(), cfg, c.ErrOrStderr(), func(ctx context.Context, a *auth.Accounts, _ string) error {
				if err := a.Objects.Sync(ctx); err != nil {
					return err
				}
				tokens, err := a.Tokens()
				for _, t := range tokens {
					out.Tokens = append(out.Tokens, caller.TokenAnswer(t))
				}
				return err
			}); err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tNAME\tROLE\tCREATED\tBY\tEXPIRES")
			for _, t := range out.Tokens {
				expires := "never"
				if t.ExpiresAt != nil {
					expires = t.ExpiresAt.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Id, t.Name, t.Role, t.CreatedAt.Format(time.RFC3339), t.CreatedBy, expires)
			}
			return w.Flush()
		})
}

func tokenRevokeCommand() *cobra.Command {
	return settingsCommand("revoke ID", "Revoke an API token", "Revoke the API token with this ID. `watchingcat token list` shows the IDs.",
		"  watchingcat token revoke 0123456789abcdef", needArgs("ID"), func(c *cobra.Command, cfg *config.Loaded, args []string) error {
			if cfg.Token != "" {
				return askServer(c.Context(), cfg, "DELETE", "/api/v1/tokens/"+args[0], nil, nil)
			}
			return onTopic(c.Context(), cfg, c.ErrOrStderr(), func(ctx context.Context, a *auth.Accounts, by string) error {
				return a.RevokeToken(ctx, by, args[0], time.Now())
			})
		})
}

func userCommand() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "Add local users",
		Long: "Add local users, who log in with name and password.\n\n" + accountsHelp, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var role string
	add := settingsCommand("add NAME", "Add a local user",
		"Add a local user. The password is the first line of standard input, 8 to 256 bytes.",
		"  echo \"$PASSWORD\" | watchingcat user add --role admin ann", needArgs("NAME"),
		func(c *cobra.Command, cfg *config.Loaded, args []string) error {
			r, err := auth.ParseRole(role)
			if err != nil {
				return err
			}
			line, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), 4096)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			password := strings.TrimRight(line, "\r\n")
			if password == "" {
				return config.Usage("give the password on standard input, as `watchingcat user add %s < password.txt`", args[0])
			}
			if cfg.Token != "" {
				return askServer(c.Context(), cfg, "POST", "/api/v1/users",
					rest.UserInput{Name: args[0], Role: rest.Role(role), Password: password}, nil)
			}
			return onTopic(c.Context(), cfg, c.ErrOrStderr(), func(ctx context.Context, a *auth.Accounts, by string) error {
				_, err := a.CreateUser(ctx, by, args[0], password, r, time.Now())
				return err
			})
		})
	add.Flags().StringVar(&role, "role", "viewer", "`role` of the user: viewer, editor or admin")
	c.AddCommand(add)
	return c
}
