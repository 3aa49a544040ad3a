package config

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Groups are the subjects of the settings, in the order in which help and `config print` show them.
var Groups = []struct{ Key, title string }{
	{"kafka", "Kafka"},
	{"embedded", "Embedded broker"},
	{"receivers", "OTLP receivers"},
	{"api", "API, page and TLS"},
	{"auth", "Authentication"},
	{"storage", "Storage and retention"},
	{"backups", "Backups"},
	{"limits", "Memory and limits"},
	{"views", "Views (dimensions, pairing, duplicates)"},
	{"otlp", "OTLP metrics"},
	{"alerts", "Rules and alerts"},
	{"replicas", "Replicas"},
	{"stores", "Raw stores and links"},
	{"export", "Remote write and kept traces"},
	{"process", "Logs, readiness, shutdown, profiles"},
	{"client", "Commands that call a running server"},
}

// Setting is one field of Config as the outside names it.
type Setting struct {
	Name, Help      string // name as in the file
	Group, Arg      string // group is a key of Groups; arg names the kind or the unit of the value
	Secret, boolean bool
	Index           int
}

// Env is the name of the variable.
func (s Setting) Env() string { return EnvPrefix + strings.ToUpper(s.Name) }

// Flag is the name of the flag.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Name, "_", "-") }

// Settings are those of Config, in its order.
func Settings() []Setting {
	t := reflect.TypeFor[Config]()
	list := make([]Setting, t.NumField())
	for i := range list {
		f := t.Field(i)
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		list[i] = Setting{Name: strings.ToLower(f.Tag.Get("env")), Help: f.Tag.Get("help"), Group: f.Tag.Get("group"),
			Arg: cmp.Or(f.Tag.Get("arg"), argOf(kind)), Secret: f.Tag.Get("secret") != "", boolean: kind.Kind() == reflect.Bool, Index: i}
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
	case reflect.TypeFor[ByteSize]():
		return "size"
	case reflect.TypeFor[bool]():
		return "true|false"
	}
	return ""
}

// ByGroup calls fn for each group that has one of the settings.
func ByGroup(list []Setting, fn func(title string, of []Setting)) {
	for _, g := range Groups {
		of := slices.DeleteFunc(slices.Clone(list), func(s Setting) bool { return s.Group != g.Key })
		if len(of) > 0 {
			fn(g.title, of)
		}
	}
}

// AddFlags gives flags a flag for each setting.
func AddFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "read settings from this YAML `file`, as `watchingcat config print` writes it")
	for _, s := range Settings() {
		if s.Secret {
			continue // never on a command line, where others can read it
		}
		flags.String(s.Flag(), "", s.Help+" ["+s.Env()+"]")
		if s.boolean {
			flags.Lookup(s.Flag()).NoOptDefVal = "true"
		}
	}
}

// Annotations of commands that take settings.
const (
	ShownSettings = "settings"      // names of those that its help shows
	SettingsNote  = "settings note" // sentence about the others
)

// Sentences about the settings that a command's help does not show.
const (
	AllShown    = "`watchingcat config print` shows the values in effect and the origin of each."
	OthersUsed  = "This command uses the other settings of the server too: give it the same ones. `watchingcat serve --help` lists them."
	LocalNote   = "Without a running server the command uses the other settings of the server too: give it the same ones. `watchingcat serve --help` lists them."
	OthersTaken = "The server's configuration can be used unchanged: this command checks the other settings but does not use them. `watchingcat serve --help` lists them."
	NoneShown   = "Every setting can be given as a flag, in the environment or in the file; `watchingcat serve --help` lists them."
)

// ServerSettings are how a command finds the running server.
var ServerSettings = []string{"server_url", "http_addr", "token", "ca_file"}

// BrokerSettings are how a command reaches Kafka.
var BrokerSettings = []string{"kafka_brokers", "kafka_tls", "kafka_tls_ca", "kafka_tls_cert", "kafka_tls_key", "kafka_sasl_mechanism",
	"kafka_sasl_username", "kafka_sasl_password", "kafka_oauth_token_url", "kafka_oauth_client_id", "kafka_oauth_client_secret",
	"kafka_oauth_scopes", "kafka_oauth_audience", "kafka_oauth_token_file", "kafka_oauth_extensions", "kafka_rack"}

// AddSettings gives a command the flags of all settings and shows those with these names in its help. Flags of settings that the command
// does not use are accepted, because one configuration serves all commands, but are neither shown nor completed.
func AddSettings(c *cobra.Command, note string, shown ...string) {
	AddFlags(c.Flags())
	c.Annotations = map[string]string{ShownSettings: strings.Join(shown, " "), SettingsNote: note}
	if note != OthersTaken {
		return
	}
	for _, s := range Settings() {
		if f := c.Flags().Lookup(s.Flag()); f != nil && !slices.Contains(shown, s.Name) {
			f.Hidden = true
		}
	}
}

// Names are the names of all settings.
func Names() []string {
	var names []string
	for _, s := range Settings() {
		names = append(names, s.Name)
	}
	return names
}
