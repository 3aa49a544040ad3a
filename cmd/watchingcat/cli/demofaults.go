package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/shop"
	"github.com/gaurav/watchingcat/evaluator/books"
)

// A fault of the demo begins after demoQuiet and lasts demoFault; the next one follows after demoCycle.
const (
	demoQuiet = 30 * time.Second
	demoFault = 60 * time.Second
	demoCycle = 3 * time.Minute
	demoRate  = 600 // spans a second
	// demoStaging is the share of the requests to the mobile gateway that are of the second environment.
	demoStaging = 0.3
)

// A kind of fault, and its sentence in the demo's greeting.
type demoKind struct {
	name, text string
	fault      shop.Fault
}

// demoKinds are in the order in which they come.
var demoKinds = []demoKind{
	{"deployment", "version 1.5.0 of payment is slow and fails many charges",
		shop.Fault{Service: "payment", ErrorRate: 0.4, Slower: 8, Version: "1.5.0"}},
	{"database", "the database reviews answers slowly", shop.Fault{Database: "reviews", Slower: 80}},
	{"retries", "inventory fails and its callers repeat their calls", shop.Fault{Service: "inventory", ErrorRate: 0.6, Slower: 2, Retries: 3}},
	{"pod", "one pod of five of cart fails", shop.Fault{Service: "cart", ErrorRate: 0.8, Slower: 1, Pod: 3}},
}

func demoFaultNames() (names []string) {
	for _, k := range demoKinds {
		names = append(names, k.name)
	}
	return names
}

// faultTurns are kinds of faults that come one after another, and again from the first.
type faultTurns []demoKind

// faultsNamed returns the kinds of faults that a user names; "none" alone names no fault.
func faultsNamed(names []string) (turns faultTurns, err error) {
	if slices.Equal(names, []string{"none"}) {
		return nil, nil
	}
	for _, name := range names {
		i := slices.IndexFunc(demoKinds, func(k demoKind) bool { return k.name == name })
		if i < 0 {
			return nil, config.Usage("--faults: %q is none of %s; none alone breaks nothing", name, strings.Join(demoFaultNames(), ", "))
		}
		turns = append(turns, demoKinds[i])
	}
	return turns, nil
}

// turn is the kind whose turn it is, and whether its fault lasts.
func (t faultTurns) turn(since time.Duration) (kind demoKind, broken bool) {
	at := since % demoCycle
	return t[int(since/demoCycle)%len(t)], at >= demoQuiet && at < demoQuiet+demoFault
}

// at is the fault at a time since the demo began; nil: nothing is broken.
func (t faultTurns) at(since time.Duration) *shop.Fault {
	if len(t) == 0 {
		return nil
	}
	kind, broken := t.turn(since)
	if !broken {
		return nil
	}
	return &kind.fault
}

// text is the part of the greeting that says which faults will come.
func (t faultTurns) text() string {
	if len(t) == 0 {
		return "Nothing breaks: --faults chose none."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Every %d minutes something breaks for a minute, the first time in half a minute: an alert fires and resolves. In turn:\n",
		int(demoCycle/time.Minute))
	for _, k := range t {
		fmt.Fprintf(&b, "\n  %-11s %s", k.name, k.text)
	}
	return b.String()
}

// makeDemoSLO makes the SLO whose budget the demo's faults use up.
func makeDemoSLO(ctx context.Context, slos *books.SLOBook) error {
	_, err := slos.Create(ctx, "demo", books.SLO{Name: "checkout", Description: "Customers can pay for their cart.", Objective: 99,
		Window: model.Duration(24 * time.Hour), Service: "frontend", Operation: "POST /checkout"}, time.Now())
	if err != nil {
		return fmt.Errorf("make the demo's SLO: %w", err)
	}
	return nil
}
