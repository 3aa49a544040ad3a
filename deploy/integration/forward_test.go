//go:build integration

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/deploy/servers"
)

// TestForwardKill kills watchingcat at random moments while it sends alerts to a real Alertmanager, one beginning every second. Every alert
// is notified there as firing and ends as resolved, and in the end none fires there.
func TestForwardKill(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	port, err := freeport.Servers.Port()
	if err != nil {
		t.Fatal(err)
	}
	config := file("am.yml", fmt.Sprintf("route: {receiver: in, group_by: [service_name], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\nreceivers: [{name: in, webhook_configs: [{url: '%s', send_resolved: true}]}]\n", in.URL))
	am, err := servers.Start(servers.Spec{Name: "alertmanager", Path: fetched(t, "alertmanager"), Dir: t.TempDir(),
		Args: []string{"--config.file", config, "--storage.path", filepath.Join(dir, "am"), "--cluster.listen-address=",
			fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(am.Kill)
	at := fmt.Sprintf("http://127.0.0.1:%d", port)
	alerts := func() (list []struct{ Labels map[string]string }, err error) {
		return list, get(t.Context(), at+"/api/v2/alerts", &list)
	}
	waitFor(t, func() bool { _, err := alerts(); return err == nil })

	a := newApp(t, startKfake(t), "WATCHINGCAT_RULE_FILES="+file("rules.yml", killRules), "WATCHINGCAT_ALERTMANAGER_URLS="+at,
		"WATCHINGCAT_EXTERNAL_LABELS=cluster=eu-1")
	a.start()
	a.ready()
	life := startLives(t, a.brokers)
	r := rand.New(rand.NewPCG(*seed, 29))
	for range *kills {
		time.Sleep(time.Duration(r.IntN(2500)) * time.Millisecond) // kills come at any moment
		a.Kill()
		a.start()
		if r.IntN(3) > 0 {
			a.ready()
		}
	}
	lives := life.stop()
	a.ready()
	waitFor(t, func() bool {
		for service := range lives {
			if list := in.of(service); len(list) == 0 || list[len(list)-1].status != "resolved" {
				return false
			}
		}
		return true
	})
	for service := range lives {
		if list := in.of(service); list[0].status != "firing" {
			t.Errorf("%s: the first that was notified is %v", service, list)
		}
	}
	waitFor(t, func() bool { list, err := alerts(); return err == nil && len(list) == 0 })
}
