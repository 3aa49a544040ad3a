package main

import (
	"os/exec"
	pathpkg "path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/gaurav/watchingcat/"

// may says which rooms each room may import, and why not the others. Data goes one way; so do imports. A room is a folder with what lies
// below it, less the rooms that are named below it; who may import a folder at the top may import all of it.
var may = map[string]struct {
	rooms  []string
	reason string
}{
	"storage":         {nil, "storage keeps bytes and knows nothing of what they mean, so that a simulation can replace it"},
	"storage/samples": {[]string{"storage"}, "the TSDB is for metric samples only, and state is stored without it"},

	"storage/backup": {[]string{"storage", "storage/samples"}, "a backup copies state and samples, and knows nothing of what they mean"},

	"views/model": {[]string{"storage"}, "what is counted and by what names is below everything that counts"},
	"views/logs":  {[]string{"storage", "views/model"}, "log records are read alike on their way in and out"},
	"views/drain": {[]string{"storage", "views/model"}, "patterns know lines only"},
	"views/dedup": {[]string{"storage", "views/model"}, "what is sent again is known by hashes alone"},
	"views/lines": {[]string{"storage", "views/model", "views/logs", "views/drain"},
		"which lines a query selects is decided without knowing where they are kept"},
	"views/edges":  {[]string{"storage", "views/model"}, "halves and edges know nodes by ids only"},
	"views/cells":  {[]string{"storage", "views/model"}, "a cell is kept whatever is counted in it"},
	"views/sums":   {[]string{"storage", "views/model", "views/cells"}, "sums are of cells, whoever asks for them"},
	"views/health": {[]string{"storage", "views/model"}, "how a service is doing is decided from its numbers alone"},
	"views/spans":  {[]string{"storage", "views/model"}, "kept spans are counted one by one, whoever reads them"},
	"views/intake": {[]string{"storage", "views/model", "views/logs", "views/drain", "views/dedup", "views/edges", "views/cells",
		"views/traces"}, "records are taken without knowing what becomes of batches"},
	"views/traces": {[]string{"storage", "views/model"}, "summaries and raw records are kept whatever asks for them"},
	"views/samples": {[]string{"storage", "views/model", "views/dedup"},
		"metrics are apart from spans and logs, and alone bring Prometheus"},
	"views/live": {[]string{"storage", "views", "views/model", "views/cells", "views/samples"},
		"versions are joined above everything that one version does"},
	"views": {[]string{"storage", "views/model", "views/logs", "views/drain", "views/lines", "views/dedup", "views/edges", "views/cells",
		"views/traces", "views/sums", "views/intake"},
		"views are a function of records: no Kafka, no HTTP, no clock, so that a replay gives the same"},
	"pipeline":          {[]string{"storage", "views"}, "the pipeline knows no package downstream: views notify their readers"},
	"pipeline/progress": {nil, "how far the pipeline is has one shape, without Kafka"},
	"pipeline/replay": {[]string{"storage", "views", "pipeline/progress", "pipeline/encoding", "pipeline/ingest", "pipeline/source", "pipeline/kafka"},
		"a replay drives what reads the topics; nothing that reads them knows of it"},
	"pipeline/verify": {[]string{"storage", "views", "pipeline/encoding", "pipeline/kafka", "pipeline/progress", "pipeline/source"},
		"records are counted apart from ingest and the scan, and nothing of the pipeline depends on it"},
	"pipeline/doctor": {[]string{"storage", "views", "pipeline/encoding", "pipeline/ingest", "pipeline/otlp", "pipeline/kafka"},
		"the doctor decodes records as ingest does, and nothing depends on it"},
	"pipeline/broker":      {[]string{"storage"}, "the broker knows topics and bytes"},
	"pipeline/receiver":    {[]string{"pipeline/kafka"}, "the receiver writes to topics and knows no views"},
	"pipeline/configtopic": {[]string{"storage", "pipeline/kafka"}, "the topic of objects is read apart from telemetry"},
	"pipeline/ingest": {[]string{"storage", "views", "pipeline/progress", "pipeline/otlp", "pipeline/encoding", "pipeline/source", "pipeline/kafka"},
		"ingest takes what the source hands out"},
	"pipeline/kept":     {[]string{"pipeline/encoding", "pipeline/kafka"}, "kept traces are read from the topics apart from the views"},
	"pipeline/encoding": {[]string{"pipeline/otlp"}, "what records became is decided before it is read"},
	"pipeline/otlp":     {[]string{"storage", "views"}, "the scan is a function of bytes"},
	"pipeline/pipelinetest": {[]string{"storage", "pipeline/source", "pipeline/kafka"},
		"tests of every room but kafka and source may use it"},
	"pipeline/source": {[]string{"storage", "pipeline/kafka"}, "the source knows offsets, not what records mean"},
	"pipeline/kafka":  {nil, "the client's settings are the lowest room"},

	"evaluator/query":  {[]string{"storage", "views"}, "queries read views and samples, and know no rule"},
	"evaluator/expand": {[]string{"evaluator/query"}, "templates are bounded whoever expands them"},
	"evaluator/alert":  {[]string{"storage", "views"}, "alerts are stored and sent; only rules decide about them"},
	"evaluator/evidence": {[]string{"storage", "views", "evaluator/query", "evaluator/alert"},
		"why an alert fires is read from views, whoever asks"},
	"evaluator/incident": {[]string{"storage", "evaluator/alert"}, "which alerts belong together is decided from their evidence alone"},
	"evaluator/rules": {[]string{"storage", "views", "evaluator/query", "evaluator/expand", "evaluator/alert", "evaluator/evidence",
		"evaluator/incident"},
		"rules read views and write state; who is notified is notify's business"},
	"evaluator/backtest": {[]string{"storage", "views", "evaluator/query", "evaluator/alert", "evaluator/rules"},
		"a backtest moves the evaluator of live rules"},
	"evaluator/books": {[]string{"storage", "views", "evaluator/query", "evaluator/rules"},
		"books make sources of rules, and evaluate none"},
	"evaluator/export": {[]string{"storage", "views", "pipeline/kafka", "evaluator/query", "evaluator/rules"},
		"samples leave through a topic, which keeps them until they are received"},
	"evaluator/evaltest": {[]string{"storage", "views"}, "tests within each room of evaluator use it"},

	"notify":      {[]string{"storage", "evaluator"}, "notify drains the outbox; it never looks at telemetry"},
	"deploy/docs": {nil, "the documents are text, and the only part of deploy that is in the binary"},
	"api/rest":    {[]string{"evaluator/alert", "views/spans"}, "what is generated from openapi.yaml has the types of answers, and nothing behind them"},
	"api/ui":      {nil, "the page is built by itself"},
	"api/auth":    {[]string{"storage"}, "credentials are checked whatever they are used for"},
	"api/answer": {[]string{"storage", "views", "pipeline/progress", "evaluator/books", "api/rest", "api/auth"},
		"what answers have in common is below everything that answers"},
	"api/caller":  {[]string{"storage", "api/rest", "api/auth", "api/answer"}, "callers are known whatever they request"},
	"api/apitest": {[]string{"api/answer"}, "tests within each room of api use it"},
	"api/older": {[]string{"storage", "views", "api/rest", "api/answer"},
		"what is older than the views is joined to them below every API that asks"},
	"api/jaeger": {[]string{"storage", "views", "api/rest", "api/answer", "api/older"}, "Jaeger's clients get what everybody gets"},
	"api/prom":   {[]string{"storage", "evaluator", "api/answer", "api/caller"}, "Prometheus' API is its own package over what is queried"},
	"api/mcp":    {nil, "assistants ask through the HTTP API, and know nothing behind it"},
	"api/status": {[]string{"storage", "views", "pipeline/progress", "api/rest", "api/answer"},
		"how the process is doing is known whatever it answers"},
	"api/telemetry": {[]string{"storage", "views", "evaluator/query", "api/rest", "api/answer", "api/older", "api/jaeger"},
		"what was observed is answered without rules and alerts"},
	"api/alerting": {[]string{"storage", "views", "pipeline/progress", "evaluator", "notify", "api/rest", "api/answer", "api/caller"},
		"rules and alerts are answered without telemetry beside queries"},
	"api/boards": {[]string{"evaluator/books", "api/rest", "api/answer", "api/caller"}, "dashboards are documents; the page draws them"},
	"api/live": {[]string{"views", "api/rest", "api/answer", "api/status", "api/telemetry", "api/alerting"},
		"what is pushed is what GET answers; no handler knows who follows"},
	"api": {[]string{"storage", "views", "pipeline/progress", "evaluator", "notify", "deploy/docs", "api/rest", "api/ui", "api/auth",
		"api/answer", "api/caller", "api/older", "api/jaeger", "api/prom", "api/mcp", "api/status", "api/telemetry", "api/alerting", "api/boards", "api/live"}, "the API knows no Kafka: it declares what it needs and cmd adapts"},
	"cmd": {[]string{"cmd/watchingcat/cli", "storage", "views", "pipeline", "evaluator", "notify", "api"},
		"only cmd wires everything"},

	"cmd/watchingcat/cli": {[]string{"storage", "views", "pipeline", "evaluator", "notify", "api", "cmd/watchingcat/app",
		"cmd/watchingcat/backups", "cmd/watchingcat/config", "cmd/watchingcat/shop", "cmd/watchingcat/freeport"}, "the command line is the top"},
	"cmd/watchingcat/app": {[]string{"storage", "views", "pipeline", "evaluator", "notify", "api", "cmd/watchingcat/backups", "cmd/watchingcat/config"},
		"the process knows no command"},
	"cmd/watchingcat/backups": {[]string{"storage", "views", "pipeline/source", "cmd/watchingcat/config"},
		"what a backup holds is known with and without a process that serves"},
	"cmd/watchingcat/config":   {[]string{"views", "pipeline/kafka", "pipeline/encoding", "api"}, "settings are read before there is anything that they are for"},
	"cmd/watchingcat/shop":     {nil, "the shop only makes telemetry"},
	"cmd/watchingcat/freeport": {nil, "the demo and servers in tests take their ports here"},
	"cmd/watchingcat/apptest":  {nil, "tests of app and cli use it"},

	"deploy": {[]string{"storage", "views", "pipeline", "evaluator", "notify", "api", "cmd"},
		"tests against real servers may look at everything"},
}

// room returns the room of a package: the longest name in may that its path begins with, else its folder at the top; "" if it is not ours.
func room(path string) string {
	rest, ok := strings.CutPrefix(path, module)
	if !ok {
		return ""
	}
	for r := rest; r != "."; r = pathpkg.Dir(r) {
		if _, ok := may[r]; ok {
			return r
		}
	}
	r, _, _ := strings.Cut(rest, "/")
	return r
}

// mayImport: a rule names the room itself or the folder at the top that it lies in. Rooms of one folder are named one by one.
func mayImport(from, to string, rooms []string) bool {
	top, _, _ := strings.Cut(to, "/")
	mine, _, _ := strings.Cut(from, "/")
	return from == to || slices.Contains(rooms, to) || top != mine && slices.Contains(rooms, top)
}

func TestImportsGoOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		from := room(p.ImportPath)
		seen[from] = true
		rule, ok := may[from]
		if !ok {
			t.Errorf("%s is in no known room: the top-level folders are given", p.ImportPath)
		}
		for _, i := range p.Imports {
			if to := room(i); to != "" && !mayImport(from, to, rule.rooms) {
				t.Errorf("%s imports %s: %s", p.ImportPath, i, rule.reason)
			}
		}
	}
	for r := range may {
		if !seen[r] && r != "deploy" {
			t.Errorf("no package in %s was looked at", r)
		}
	}
}

// pure are the packages that views must not import.
var pure = map[string]string{"os": "no I/O in views", "net": "no I/O in views", "net/http": "no I/O in views",
	"math/rand": "views are deterministic", "math/rand/v2": "views are deterministic"}

// forbidden are packages that a room must not import, standard ones included.
var forbidden = map[string]map[string]string{
	"views":         pure,
	"views/model":   pure,
	"views/logs":    pure,
	"views/lines":   pure,
	"views/drain":   pure,
	"views/dedup":   pure,
	"views/edges":   pure,
	"views/cells":   pure,
	"views/traces":  pure,
	"views/sums":    pure,
	"views/health":  pure,
	"views/intake":  pure,
	"views/samples": pure,
	"views/live":    pure,
	"api":           {"github.com/twmb/franz-go/pkg/kgo": "api knows no Kafka"},
}

func TestForbiddenImports(t *testing.T) {
	for _, p := range packages(t) {
		r := strings.TrimPrefix(p.ImportPath, module)
		for _, i := range p.Imports {
			if reason, bad := forbidden[r][i]; bad {
				t.Errorf("%s imports %s: %s", r, i, reason)
			}
		}
	}
}

// unreachable are packages that a room must not import through others either.
var unreachable = map[string]map[string]string{
	"storage": {"github.com/prometheus/prometheus/tsdb": "only storage/samples brings the TSDB"},
	"views": {"github.com/prometheus/prometheus/model/labels": "only views/samples brings Prometheus",
		"github.com/prometheus/prometheus/config": "only views/samples brings Prometheus"},
}

// reachable bounds how many packages of others a room imports, through others too: everyone who builds compiles what is imported by mistake.
// Of those of the program, 15 are the AWS SDK's for S3, which backups need; the rest of the SDK is there for SASL AWS_MSK_IAM.
var reachable = map[string]int{"storage": 125, "views": 140, "cmd/watchingcat": 1048}

// heavy are beginnings of paths that the program must not import, through others either: they take long to compile.
var heavy = map[string]string{
	"github.com/elastic/go-elasticsearch/":                                "its functions for all APIs take 35 s; storage/raw uses the client's transport",
	"github.com/redis/":                                                   "go-redis takes 32 s; storage/raw uses redigo",
	"github.com/docker/docker/":                                           "only Prometheus' discovery of containers needs it",
	"k8s.io/api/":                                                         "only Prometheus' discovery of pods needs it",
	"github.com/aws/aws-sdk-go-v2/service/ec2":                            "only Prometheus' discovery of instances needs it",
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/":              "only Prometheus' discovery of instances needs it",
	"google.golang.org/api/compute/":                                      "only Prometheus' discovery of instances needs it",
	"github.com/prometheus/prometheus/discovery/install":                  "it imports every discovery",
	"github.com/prometheus/prometheus/cmd/":                               "commands of Prometheus import all of Prometheus",
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/": "receivers of the Collector import its service",
}

func TestReachableImports(t *testing.T) {
	for r, most := range reachable {
		n := 0
		for _, i := range dependencies(t, r) {
			if strings.Contains(i, ".") && !strings.HasPrefix(i, module) {
				n++
			}
		}
		if n > most {
			t.Errorf("%s reaches %d packages of others, at most %d are meant to be reached", r, n, most)
		}
	}
}

func TestHeavyImports(t *testing.T) {
	for _, i := range dependencies(t, "cmd/watchingcat") {
		for prefix, reason := range heavy {
			if strings.HasPrefix(i, prefix) {
				t.Errorf("the program imports %s: %s", i, reason)
			}
		}
	}
}

func TestUnreachableImports(t *testing.T) {
	for r, list := range unreachable {
		for _, i := range dependencies(t, r) {
			if reason, bad := list[i]; bad {
				t.Errorf("%s reaches %s: %s", r, i, reason)
			}
		}
	}
}

// dependencies are the packages that a room imports, through others too.
func dependencies(t *testing.T, room string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", module+room).Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}
