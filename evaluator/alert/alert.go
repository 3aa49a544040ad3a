package alert

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/storage"
)

// The states of an alert.
const (
	StatePending  = "pending"
	StateFiring   = "firing"
	StateResolved = "resolved"
	StateInactive = "inactive" // of a pending alert whose condition no longer holds
)

// Alert is one alert of one rule. Its times are event times.
type Alert struct {
	RuleID          string        `json:"rule_id"`
	Labels          labels.Labels `json:"labels"`
	Annotations     labels.Labels `json:"annotations"`
	State           string        `json:"state"`
	ActiveAt        time.Time     `json:"active_at"`
	FiredAt         time.Time     `json:"fired_at,omitzero"`
	KeepFiringSince time.Time     `json:"keep_firing_since,omitzero"`
	ResolvedAt      time.Time     `json:"resolved_at,omitzero"`
	Value           Number        `json:"value"`
	GeneratorURL    string        `json:"generator_url"`
	// Incident is the id of the incident that it belongs to since it fires; "" before.
	Incident string `json:"incident,omitempty"`
	// Evidence is why it fires, as of when it began to; nil before that.
	Evidence *Evidence `json:"evidence,omitempty"`
}

// serviceLabels name the service that an alert is about, the first that is there.
var serviceLabels = []string{"service_name", "service", "server", "client"}

// ServiceOf returns the service that labels name, or "".
func ServiceOf(l labels.Labels) string {
	for _, name := range serviceLabels {
		if v := l.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// Transition is one change of an alert's state. From is empty for an alert that was not there before.
type Transition struct {
	Time   time.Time     `json:"time"` // event time
	RuleID string        `json:"rule_id"`
	Labels labels.Labels `json:"labels"`
	// Annotations are those of the alert then.
	Annotations labels.Labels `json:"annotations"`
	From        string        `json:"from"`
	To          string        `json:"to"`
	Value       Number        `json:"value"`
}

// Number is a float64 that JSON can hold: NaN and infinities become strings.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.AppendQuote(nil, strconv.FormatFloat(f, 'g', -1, 64)), nil
	}
	return strconv.AppendFloat(nil, float64(n), 'g', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(b []byte) error {
	if len(b) > 1 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	f, err := strconv.ParseFloat(string(b), 64)
	*n = Number(f)
	return err
}

// Record is an alert as it is stored: the value of TableAlert is a record as JSON.
type Record struct {
	Alert
	Group string `json:"group"`
	Rule  string `json:"rule"` // identity of the rule within its group
	// Input are the labels of the condition's result that made the alert: evaluating the rule on them makes the same alert again.
	Input labels.Labels `json:"input"`
	// Notified says that the last thing notify was given about the alert is that it fires.
	Notified   bool      `json:"told"`
	NotifiedAt time.Time `json:"told_at,omitzero"` // wall clock
	// Saved is when the record was last written, by the wall clock.
	Saved time.Time `json:"-"`
}

// Key is the key under which the record is stored.
func (r *Record) Key() string { return RecordKey(r.Group, r.Rule, r.Labels) }

// RecordKey is the key of the alert with these labels of a rule, which is identified within its group.
func RecordKey(group, rule string, l labels.Labels) string {
	fp := xxhash.Sum64String(rule + "\xff" + l.String())
	rest := append([]byte(group), 0)
	return string(storage.Key(0, 0, storage.TableAlert, binary.BigEndian.AppendUint64(rest, fp)...))
}

// Entry is the write of the record.
func (r *Record) Entry() (storage.Entry, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return storage.Entry{}, fmt.Errorf("evaluator: alert %s: %w", r.Labels, err)
	}
	return storage.Entry{Key: []byte(r.Key()), Value: value}, nil
}

// LoadRecords reads all records, by their keys.
func LoadRecords(kv storage.KV) (map[string]*Record, error) {
	out := map[string]*Record{}
	prefix := storage.Key(0, 0, storage.TableAlert)
	err := kv.Scan(prefix, storage.PrefixEnd(prefix), func(key, value []byte) error {
		r := &Record{}
		if err := json.Unmarshal(value, r); err != nil {
			return fmt.Errorf("evaluator: alert entry %x: %w", key, err)
		}
		out[string(key)] = r
		return nil
	})
	return out, err
}

// SameState reports whether what must survive a crash is equal; values and annotations move with every evaluation.
func (r *Record) SameState(o *Record) bool {
	return r.State == o.State && r.Notified == o.Notified && r.ActiveAt.Equal(o.ActiveAt) && r.FiredAt.Equal(o.FiredAt) &&
		r.KeepFiringSince.Equal(o.KeepFiringSince) && r.ResolvedAt.Equal(o.ResolvedAt)
}

// Latest is the newest event time that the record knows of.
func (r *Record) Latest() time.Time {
	t := r.ActiveAt
	for _, o := range []time.Time{r.FiredAt, r.KeepFiringSince, r.ResolvedAt} {
		if o.After(t) {
			t = o
		}
	}
	return t
}
