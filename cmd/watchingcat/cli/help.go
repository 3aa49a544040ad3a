package cli

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

const (
	helpWidth   = 110 // of lines of help
	flagsColumn = 46  // where the environment variable of a setting begins
)

// writeHelp writes the help of a command: its purpose, examples, its own flags, then the settings that it uses.
func writeHelp(w io.Writer, c *cobra.Command) {
	c.InitDefaultHelpFlag()
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n", strings.TrimSpace(wrapText(text, "")))
	if c.Runnable() && !c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s\n", c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s COMMAND [flags]\n", c.CommandPath())
	}
	if c.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprint(w, "\nCommands:\n")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				fmt.Fprintf(w, "  %-*s  %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	fmt.Fprintf(w, "\nFlags:\n%s", ownFlags(c).FlagUsagesWrapped(helpWidth))
	writeSettings(w, c)
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n`%s COMMAND --help` shows the flags of a command and examples.\n", c.CommandPath())
	}
}

// ownFlags are the flags of a command that are not settings.
func ownFlags(c *cobra.Command) *pflag.FlagSet {
	names := config.Names()
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "config" || slices.Contains(names, strings.ReplaceAll(f.Name, "-", "_")) {
			return
		}
		plain := *f
		switch f.Value.Type() {
		case "float64Slice":
			plain.DefValue = "" // an empty list
		case "bool":
			plain.Value, plain.NoOptDefVal = plainValue{f.Value}, "" // a switch without [=true|false]
		}
		if f.Name == "help" {
			plain.Usage = "show this help"
		}
		own.AddFlag(&plain)
	})
	return own
}

// plainValue is a flag's value by its type only.
type plainValue struct{ pflag.Value }

// writeSettings writes the settings that a command's help shows, by group.
func writeSettings(w io.Writer, c *cobra.Command) {
	shown, lead := settingsOf(c)
	if lead == "" {
		return
	}
	fmt.Fprintf(w, "\nSettings:\n%s\n\n", wrapText(lead, "  "))
	conf := pflag.NewFlagSet("", pflag.ContinueOnError)
	conf.AddFlag(c.Flags().Lookup("config"))
	fmt.Fprint(w, strings.ReplaceAll(conf.FlagUsagesWrapped(helpWidth), "      --config", "    --config"))
	defaults := config.Default()
	config.ByGroup(shown, func(title string, of []config.Setting) {
		fmt.Fprintf(w, "\n  %s:\n", title)
		for _, s := range of {
			fmt.Fprintf(w, "    %-*s %s\n", flagsColumn-5, settingFlag(s, strings.TrimPrefix(s.Arg, "true|false")), s.Env())
			fmt.Fprintln(w, wrapText(s.Help+defaultOf(defaults, s), "        "))
		}
	})
}

// settingsOf are the settings that a command's help shows, and how they are given; no text: it takes none.
func settingsOf(c *cobra.Command) (shown []config.Setting, lead string) {
	note, ok := c.Annotations[config.SettingsNote]
	if !ok {
		return nil, ""
	}
	names := strings.Fields(c.Annotations[config.ShownSettings])
	shown = slices.DeleteFunc(config.Settings(), func(s config.Setting) bool { return !slices.Contains(names, s.Name) })
	lead = "A flag takes precedence over the environment variable, which takes precedence over the file."
	if slices.ContainsFunc(shown, func(s config.Setting) bool { return s.Secret }) {
		lead += " Secrets have no flag: set the variable, or the variable with _FILE appended to the name of a file that holds the secret."
	}
	return shown, lead + "\n" + note
}

// settingFlag is the flag of a setting with the kind of its value.
func settingFlag(s config.Setting, arg string) string {
	if s.Secret {
		return "(no flag)"
	}
	return strings.TrimSpace("--" + s.Flag() + " " + arg)
}

// defaultOf is a setting's default as its help shows it.
func defaultOf(defaults config.Config, s config.Setting) string {
	v := reflect.ValueOf(defaults).Field(s.Index)
	if v.Kind() == reflect.Pointer && v.IsNil() || v.Kind() == reflect.String && v.Len() == 0 || v.Kind() == reflect.Slice && v.Len() == 0 {
		return "" // the text names the meaning of an empty value where there is one
	}
	return " (default " + settingText(v) + ")"
}

// settingText is a setting's value as the environment and flags take it.
func settingText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return durationText(x)
	case []string:
		return strings.Join(x, ",")
	}
	return fmt.Sprint(v.Interface())
}

// durationText is a duration without the zeros at its end: 6h rather than 6h0m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// wrapText breaks each line of a text into lines of at most helpWidth bytes that begin with indent.
func wrapText(text, indent string) string {
	var out []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := indent + strings.ReplaceAll(paragraph[:len(paragraph)-len(strings.TrimLeft(paragraph, "\t "))], "\t", "    ")
		for i, word := range strings.Fields(paragraph) {
			switch {
			case i > 0 && len(line)+1+len(word) > helpWidth:
				out = append(out, line)
				line = indent + word
			case i > 0:
				line += " " + word
			default:
				line += word
			}
		}
		out = append(out, strings.TrimRight(line, " "))
	}
	return strings.Join(out, "\n")
}

// helpCommand is `watchingcat help COMMAND`.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show the help of a command",
		Example: "  watchingcat help rules backtest",
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil || of == nil || len(rest) > 0 {
				return config.Usage("%q is not a command; see `watchingcat --help`", strings.Join(args, " "))
			}
			return of.Help()
		},
	}
}

// noArgs rejects arguments, and on a command with commands below it a name that none of them has.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !c.HasSubCommands() {
		return config.Usage("unexpected argument %q: `%s` takes only flags", args[0], c.CommandPath())
	}
	c.SuggestionsMinimumDistance = 2
	meant := ""
	if names := c.SuggestionsFor(args[0]); len(names) > 0 {
		meant = fmt.Sprintf(" (did you mean `%s %s`?)", c.CommandPath(), names[0])
	}
	return config.Usage("there is no command %q of `%s`%s", args[0], c.CommandPath(), meant)
}

// needArgs takes one argument for each name; a last name that ends in ... stands for one or more.
func needArgs(names ...string) cobra.PositionalArgs {
	many := strings.HasSuffix(names[len(names)-1], "...")
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return config.Usage("%s is missing: give `%s %s`", strings.TrimSuffix(names[len(args)], "..."), c.CommandPath(),
				strings.Join(names, " "))
		}
		if len(args) > len(names) && !many {
			return config.Usage("unexpected argument %q: give `%s %s`", args[len(names)], c.CommandPath(), strings.Join(names, " "))
		}
		return nil
	}
}

// withHint adds to a usage error where the help is.
func withHint(text string, c *cobra.Command) string {
	switch {
	case strings.Contains(text, "--help`"):
		return text
	case strings.Contains(text, "\n"):
		return fmt.Sprintf("%s\nSee `%s --help`.", text, c.CommandPath())
	}
	return fmt.Sprintf("%s; see `%s --help`", text, c.CommandPath())
}
