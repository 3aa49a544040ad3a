package main

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settingGroups are the subjects of the settings, in the order in which help and `config print` show them.
var settingGroups = []struct{ key, title string }{
	{"kafka", "Kafka"},
	{"api", "API, page and TLS"},
	{"auth", "Authentication"},
	{"storage", "Storage and retention"},
	{"limits", "Memory and limits"},
	{"views", "Views (dimensions, pairing, duplicates)"},
	{"otlp", "OTLP metrics"},
	{"alerts", "Rules and alerts"},
	{"replicas", "Replicas"},
	{"stores", "Raw stores and links"},
	{"process", "Logs, readiness, shutdown, profiles"},
	{"client", "Commands that call a running server"},
	{"demo", "Demo only"},
}

// setting is one field of Config as the outside names it.
type setting struct {
	name, help      string // name as in the file
	group, arg      string // group is a key of settingGroups; arg names the kind or the unit of the value
	secret, boolean bool
	index           int
}

func (s setting) env() string  { return envPrefix + strings.ToUpper(s.name) }
func (s setting) flag() string { return strings.ReplaceAll(s.name, "_", "-") }

func settings() []setting {
	t := reflect.TypeFor[Config]()
	list := make([]setting, t.NumField())
	for i := range list {
		f := t.Field(i)
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		list[i] = setting{name: strings.ToLower(f.Tag.Get("env")), help: f.Tag.Get("help"), group: f.Tag.Get("group"), arg: cmp.Or(f.Tag.Get("arg"), argOf(kind)),
			secret: f.Tag.Get("secret") != "", boolean: kind.Kind() == reflect.Bool, index: i}
	}
	return list
}

// argOf names the kind of a setting's value where its type does.
func argOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[days]():
		return "duration"
	case reflect.TypeFor[retention]():
		return "duration,size"
	case reflect.TypeFor[byteSize]():
		return "size"
	case reflect.TypeFor[bool]():
		return "true|false"
	}
	return ""
}

// byGroup calls fn for each group that has one of the settings.
func byGroup(list []setting, fn func(title string, of []setting)) {
	for _, g := range settingGroups {
		of := slices.DeleteFunc(slices.Clone(list), func(s setting) bool { return s.group != g.key })
		if len(of) > 0 {
			fn(g.title, of)
		}
	}
}

// addFlags gives flags a flag for each setting.
func addFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "read settings from this YAML `file`, as `watchingcat config print` writes it")
	for _, s := range settings() {
		if s.secret {
			continue // never on a command line, where others can read it
		}
		flags.String(s.flag(), "", s.help+" ["+s.env()+"]")
		if s.boolean {
			flags.Lookup(s.flag()).NoOptDefVal = "true"
		}
	}
}

// Annotations of commands that take settings.
const (
	shownSettings = "settings"      // names of those that its help shows
	settingsNote  = "settings note" // sentence about the others
)

// Sentences about the settings that a command's help does not show.
const (
	allShown    = "`watchingcat config print` shows the values in effect and the origin of each."
	othersUsed  = "This command uses the other settings of the server too: give it the same ones. `watchingcat serve --help` lists them."
	localNote   = "Without a running server the command uses the other settings of the server too: give it the same ones. `watchingcat serve --help` lists them."
	othersTaken = "The server's configuration can be used unchanged: this command checks the other settings but does not use them. `watchingcat serve --help` lists them."
	noneShown   = "Every setting can be given as a flag, in the environment or in the file; `watchingcat serve --help` lists them."
)

// serverSettings are how a command finds the running server.
var serverSettings = []string{"server_url", "http_addr", "token", "ca_file"}

// brokerSettings are how a command reaches Kafka.
var brokerSettings = []string{"kafka_brokers", "kafka_tls", "kafka_tls_ca", "kafka_tls_cert", "kafka_tls_key", "kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password"}

// addSettings gives a command the flags of all settings and shows those with these names in its help. Flags of settings that the command
// does not use are accepted, because one configuration serves all commands, but are neither shown nor completed.
func addSettings(c *cobra.Command, note string, shown ...string) {
	addFlags(c.Flags())
	c.Annotations = map[string]string{shownSettings: strings.Join(shown, " "), settingsNote: note}
	if note != othersTaken {
		return
	}
	for _, s := range settings() {
		if f := c.Flags().Lookup(s.flag()); f != nil && !slices.Contains(shown, s.name) {
			f.Hidden = true
		}
	}
}

// settingNames are the names of all settings.
func settingNames() []string {
	var names []string
	for _, s := range settings() {
		names = append(names, s.name)
	}
	return names
}
