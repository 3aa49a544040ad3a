package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual pages",
		Long: "Write a manual page of each command, and watchingcat.yml(5) with every setting, into a directory. The date of the pages is " +
			"SOURCE_DATE_EPOCH if it is set, so that packages are reproducible, otherwise that of today.",
		Example: "  watchingcat man ~/.local/share/man",
		Args:    needArgs("DIRECTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			date, err := manDate(os.Getenv("SOURCE_DATE_EPOCH"), time.Now())
			if err != nil {
				return err
			}
			return writeManual(c.Root(), args[0], date)
		},
	}
}

func manDate(epoch string, now time.Time) (string, error) {
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return "", config.Usage("SOURCE_DATE_EPOCH: %q is not a number of seconds", epoch)
		}
		now = time.Unix(seconds, 0)
	}
	return now.UTC().Format(time.DateOnly), nil
}

// writeManual writes the pages of root and of all commands below it into man1, and that of the settings into man5.
func writeManual(root *cobra.Command, dir, date string) error {
	write := func(name string, section int, p *manPage) error {
		file := filepath.Join(dir, fmt.Sprintf("man%d", section), fmt.Sprintf("%s.%d", name, section))
		return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, p.Bytes(), 0o644)) //nolint:gosec // everyone reads manuals
	}
	err := write("watchingcat.yml", 5, settingsPage(date))
	root.InitDefaultCompletionCmd()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		err = errors.Join(err, write(manName(c), 1, commandPage(c, date)))
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				walk(sub)
			}
		}
	}
	walk(root)
	return err
}

// manName is the name of the page of a command.
func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage is a page in the man macros of roff.
type manPage struct{ bytes.Buffer }

func newPage(name, section, date, about string) *manPage {
	p := &manPage{}
	fmt.Fprintf(p, ".TH \"%s\" %s \"%s\" \"WatchingCat %s\" \"WatchingCat\"\n.ad l\n", roff(strings.ToUpper(name)), section, date, roff(app.Version()))
	p.section("NAME")
	fmt.Fprintf(p, "%s \\- %s\n", roff(name), roff(about))
	return p
}

func (p *manPage) section(title string) { fmt.Fprintf(p, ".SH %s\n", title) }

// item is a term in bold, with the kind of its value, and its text.
func (p *manPage) item(term, arg, text string) {
	fmt.Fprintf(p, ".TP\n\\fB%s\\fR", roff(term))
	if arg != "" {
		fmt.Fprintf(p, " \\fI%s\\fR", roff(arg))
	}
	fmt.Fprintf(p, "\n%s\n", marked(text))
}

// text writes paragraphs, which are apart by an empty line.
func (p *manPage) text(text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		for j, line := range strings.Split(paragraph, "\n") {
			if j > 0 && line != strings.TrimLeft(line, " \t") {
				p.WriteString(".br\n")
			}
			fmt.Fprintln(p, marked(strings.TrimSpace(line)))
		}
	}
}

// roff escapes what has a meaning in roff.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// marked is a text in which what stands between backquotes is bold.
func marked(text string) string {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		switch {
		case i%2 == 1:
			out.WriteString(`\fB` + roff(part) + `\fR`)
		case i > 0 && strings.HasPrefix(part, "."):
			out.WriteString(strings.TrimPrefix(roff(part), `\&`))
		default:
			out.WriteString(roff(part))
		}
	}
	return out.String()
}

// commandPage says of a command what its help says.
func commandPage(c *cobra.Command, date string) *manPage {
	c.InitDefaultHelpFlag()
	p := newPage(manName(c), "1", date, c.Short)
	p.section("SYNOPSIS")
	name, rest, _ := strings.Cut(c.UseLine(), c.CommandPath())
	fmt.Fprintf(p, "%s\\fB%s\\fR%s\n", roff(name), roff(c.CommandPath()), roff(rest))
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(p, ".br\n\\fB%s\\fR \\fICOMMAND\\fR [flags]\n", roff(c.CommandPath()))
	}
	p.section("DESCRIPTION")
	p.text(cmp.Or(c.Long, c.Short+"."))
	var see []string
	if c.HasParent() {
		see = append(see, manName(c.Parent()))
	}
	if c.HasAvailableSubCommands() {
		p.section("COMMANDS")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				p.item(manName(sub)+"(1)", "", sub.Short+".")
			}
		}
	}
	p.section("OPTIONS")
	ownFlags(c).VisitAll(func(f *pflag.Flag) {
		arg, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "0s" && d != "[]" {
			usage += " (default " + d + ")"
		}
		p.item(name, arg, usage)
	})
	if shown, lead := settingsOf(c); lead != "" {
		p.section("SETTINGS")
		p.text(lead)
		p.item("--config", "file", c.Flags().Lookup("config").Usage)
		p.settings(shown, ".SS", func(s config.Setting) string { return settingFlag(s, "") })
	}
	if c.Example != "" {
		p.section("EXAMPLES")
		fmt.Fprintf(p, ".nf\n.RS\n")
		for line := range strings.SplitSeq(c.Example, "\n") {
			fmt.Fprintln(p, roff(strings.TrimPrefix(line, "  ")))
		}
		fmt.Fprintf(p, ".RE\n.fi\n")
	}
	p.section("EXIT STATUS")
	for _, s := range exitCodes {
		p.item(strconv.Itoa(s.code), "", s.meaning+".")
	}
	p.section("SEE ALSO")
	for _, name := range see {
		fmt.Fprintf(p, "\\fB%s\\fR(1),\n", roff(name))
	}
	fmt.Fprintf(p, "\\fBwatchingcat.yml\\fR(5)\n")
	return p
}

// settings lists settings by group, each with its variable.
func (p *manPage) settings(list []config.Setting, heading string, name func(config.Setting) string) {
	defaults := config.Default()
	config.ByGroup(list, func(title string, of []config.Setting) {
		fmt.Fprintf(p, "%s \"%s\"\n", heading, roff(title))
		for _, s := range of {
			p.item(name(s), s.Arg, s.Env()+": "+s.Help+defaultOf(defaults, s))
		}
	})
}

// settingsPage is watchingcat.yml(5).
func settingsPage(date string) *manPage {
	p := newPage("watchingcat.yml", "5", date, "settings of WatchingCat")
	p.section("DESCRIPTION")
	p.text("The file that `watchingcat serve --config` reads, in YAML: one setting a line, by its name. Each setting has an environment variable too. A flag " +
		"(--kafka-brokers for kafka_brokers) takes precedence over the variable, which takes precedence over the file. Secrets have no flag and belong into " +
		"the environment: the variable, or the variable with _FILE appended to the name of a file that holds the secret.\n\n" +
		"`watchingcat config check` checks the file, `watchingcat config print` prints the values in effect as such a file.")
	p.settings(config.Settings(), ".SH", func(s config.Setting) string { return s.Name })
	p.section("FILES")
	p.item("/etc/watchingcat/watchingcat.yml", "", "The settings of the service.")
	p.item("/etc/watchingcat/watchingcat.env", "", "Variables of the service, for secrets. Only root may read it.")
	p.section("SEE ALSO")
	fmt.Fprintf(p, "\\fBwatchingcat\\fR(1),\n\\fBwatchingcat\\-config\\fR(1),\n\\fBwatchingcat\\-serve\\fR(1)\n")
	return p
}
