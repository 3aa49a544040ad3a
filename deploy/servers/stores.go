package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
)

// Store is a server that answers questions about stored telemetry; it may be stopped, hung and started again.
type Store struct {
	URL   string
	spec  Spec
	ready func(context.Context) error
	*Process
}

// Start starts the server and waits until it answers.
func (s *Store) Start(ctx context.Context) (err error) {
	if s.Process, err = Start(s.spec); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return s.WaitFor(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return s.ready(ctx)
	})
}

// Close kills the server if it runs.
func (s *Store) Close() {
	if s.Process != nil {
		s.Kill()
	}
}

// Hang stops the server's threads as they are: connections stay open and nothing answers.
func (p *Process) Hang() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends Hang.
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

func listens(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, resp.Status)
		}
		return nil
	}
}

func files(dir string, texts map[string]string) error {
	var errs []error
	for name, text := range texts {
		errs = append(errs, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750),
			os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return errors.Join(errs...)
}

// Jaeger keeps traces in memory: a stopped one has forgotten them.
type Jaeger struct {
	Store
	OTLP string // URL that takes spans
}

const jaegerConfig = `service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}
  telemetry:
    resource: {service.name: jaeger}
    metrics: {level: none}
extensions:
  jaeger_query:
    storage: {traces: memory%s}
    enable_tracing: false
    http: {endpoint: "127.0.0.1:%d"}
    grpc: {endpoint: "127.0.0.1:%d"}
  jaeger_storage:
    backends:
      memory: {memory: {max_traces: 100000}}
%s
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:%d"}}}
processors: {batch: {timeout: 50ms}}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
`

// NewJaeger prepares a Jaeger in dir; run is setup.sh's folder. Its Monitor tab asks the Prometheus at metrics, if that is not empty.
func NewJaeger(run, dir, metrics string) (*Jaeger, error) {
	var ports [3]int
	var err error
	for i := range ports {
		if ports[i], err = freeport.Servers.Port(); err != nil {
			return nil, err
		}
	}
	j := &Jaeger{Store: Store{URL: fmt.Sprintf("http://127.0.0.1:%d", ports[0])},
		OTLP: fmt.Sprintf("http://127.0.0.1:%d/v1/traces", ports[2])}
	j.spec = Spec{Name: "jaeger", Path: filepath.Join(run, "jaeger"), Args: []string{"--config", filepath.Join(dir, "jaeger.yaml")},
		Dir: dir}
	// Queries are answered before the receiver takes spans.
	asked, receives := answers(j.URL+"/api/v3/services"), listens(fmt.Sprintf("127.0.0.1:%d", ports[2]))
	j.ready = func(ctx context.Context) error { return errors.Join(asked(ctx), receives(ctx)) }
	storage, backend := "", ""
	if metrics != "" {
		storage = ", metrics: prometheus"
		backend = fmt.Sprintf("    metric_backends: {prometheus: {prometheus: {endpoint: %q, normalize_calls: true, normalize_duration: true}}}", metrics)
	}
	return j, files(dir, map[string]string{"jaeger.yaml": fmt.Sprintf(jaegerConfig, storage, ports[0], ports[1], backend, ports[2])})
}

// NewPrometheus prepares a Prometheus in dir that takes OTLP metrics of the last day, in any order; more is added to its configuration.
func NewPrometheus(run, dir, more string) (*Store, error) {
	port, err := freeport.Servers.Port()
	if err != nil {
		return nil, err
	}
	s := &Store{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	s.spec = Spec{Name: "prometheus", Path: filepath.Join(run, "prometheus"), Dir: dir,
		Args: []string{"--config.file", filepath.Join(dir, "prometheus.yml"),
			"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", fmt.Sprintf("127.0.0.1:%d", port),
			"--web.enable-otlp-receiver", "--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage", "--log.level", "warn"}}
	s.ready = answers(s.URL + "/-/ready")
	return s, files(dir, map[string]string{"prometheus.yml": "storage: {tsdb: {out_of_order_time_window: 24h}}\notlp: {promote_resource_attributes: [service.name]}\n" + more})
}

// NewElasticsearch prepares one node in dir.
func NewElasticsearch(run, dir string) (*Store, error) {
	port, err := freeport.Servers.Port()
	if err != nil {
		return nil, err
	}
	transport, err := freeport.Servers.Port()
	if err != nil {
		return nil, err
	}
	es := filepath.Join(run, "elasticsearch")
	s := &Store{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	s.spec = Spec{Name: "elasticsearch", Path: "java", Dir: dir,
		Args: []string{"-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-Des.path.home=" + dir,
			"-cp", filepath.Join(es, "classes") + ":" + filepath.Join(es, "lib", "*"), "Node", dir}}
	s.ready = answers(s.URL + "/_cluster/health")
	for _, name := range []string{"plugins", "logs", "lib"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o750); err != nil {
			return nil, err
		}
	}
	return s, errors.Join(os.CopyFS(filepath.Join(dir, "modules"), os.DirFS(filepath.Join(es, "modules"))), files(dir, map[string]string{
		"config/log4j2.properties": "status = error\nappender.console.type = Console\nappender.console.name = console\nappender.console.layout.type = PatternLayout\n" +
			"appender.console.layout.pattern = %d %p %c{1} %m%n\nrootLogger.level = warn\nrootLogger.appenderRef.console.ref = console\n",
		"config/elasticsearch.yml": fmt.Sprintf("cluster.name: watchingcat\nnode.name: es1\nnetwork.host: 127.0.0.1\nhttp.port: %d\ntransport.port: %d\n"+
			"discovery.type: single-node\ncluster.routing.allocation.disk.threshold_enabled: false\n", port, transport),
	}))
}

// NewRedis prepares a Redis in dir that keeps nothing on disk.
func NewRedis(dir string) (*Store, error) {
	port, err := freeport.Servers.Port()
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	s := &Store{URL: "redis://" + addr}
	s.spec = Spec{Name: "redis", Path: "redis-server", Dir: dir,
		Args: []string{"--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--save", "", "--appendonly", "no"}}
	s.ready = listens(addr)
	return s, nil
}
