package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// An Object is something that a user made: a group of rules, an SLO, a user, a token. Its value is JSON of whoever owns the kind;
// a nil value deletes.
//
// The source of truth is a compacted topic, so that every replica has the same objects; the store holds what the topic says, see
// configtopic.Topic.
type Object struct {
	Kind, ID string
	Value    []byte
}

// The kinds of objects. A value is part of the format of the topic.
const (
	KindRuleGroup  = "rule_group"
	KindRuleSwitch = "rule_switch" // a rule of a file that is switched off
	KindSLO        = "slo"
	KindSavedView  = "saved_view" // of a page, under a name
	KindDashboard  = "dashboard"
	KindIncident   = "incident" // who takes care of one, and comments on it
	KindUser       = "user"
	KindToken      = "token"
	KindTokenUse   = "token_use" // when a token was used, by its id
	KindEnded      = "ended"     // until when a login that its holder ended would have been valid, by its id

	// The audit trail: changes, and beside them what comes in numbers, so that a flood of one pushes nothing else out.
	KindAudit        = "audit"
	KindAuditLogin   = "audit_login"
	KindAuditRefusal = "audit_refusal"
	KindAuditAlert   = "audit_alert"

	// These are in the audit trail alone: their objects have no value.
	KindReplay   = "replay"
	KindBackup   = "backup"
	KindReceiver = "receiver"
	KindSilence  = "silence"
	KindBacktest = "backtest"
	KindLogin    = "login"
	KindAlert    = "alert"
)

// Kinds are those that have values.
var Kinds = []string{KindRuleGroup, KindRuleSwitch, KindSLO, KindSavedView, KindDashboard, KindIncident, KindUser, KindToken, KindTokenUse,
	KindEnded, KindAudit, KindAuditLogin, KindAuditRefusal, KindAuditAlert}

// Trails is how many entries are kept of each part of the audit trail.
var Trails = map[string]int{KindAudit: 10_000, KindAuditLogin: 5_000, KindAuditRefusal: 2_000, KindAuditAlert: 2_000}

// ActionRefuse is the action of an entry about a login or request that was refused.
const ActionRefuse = "refuse"

// Entry is the write that keeps o.
func (o Object) Entry() Entry { return Entry{Key: objectKey(o.Kind, o.ID), Value: o.Value} }

func objectKey(kind, id string) []byte {
	return append(Key(0, 0, TableObject, append([]byte(kind), 0)...), id...)
}

// Objects returns the objects of a kind, ordered by id.
func Objects(kv KV, kind string) ([]Object, error) {
	var out []Object
	prefix := objectKey(kind, "")
	err := kv.Scan(prefix, PrefixEnd(prefix), func(key, value []byte) error {
		out = append(out, Object{kind, string(key[len(prefix):]), bytes.Clone(value)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("storage: objects of kind %s: %w", kind, err)
	}
	return out, nil
}

// GetObject returns the value of one object, or ErrNotFound.
func GetObject(kv KV, kind, id string) ([]byte, error) { return kv.Get(objectKey(kind, id)) }

// An Edit is what one action of a user changes, with its entry in the audit trail.
type Edit struct {
	By      string // the principal
	Action  string // as create, update, delete, login
	Objects []Object
	// Secret leaves the values out of the audit trail.
	Secret bool
}

// An Editor changes objects, for all replicas. *configtopic.Topic is one.
type Editor interface {
	// Sync returns once the store has what all replicas wrote.
	Sync(ctx context.Context) error
	// Write returns once the store has what e says, and what is made of it is in force. now is the wall clock.
	Write(ctx context.Context, e Edit, now time.Time) error
	// Put writes objects that no user edits and that need no audit entry: entries of the audit trail, notes. They are in the store a little
	// later.
	Put(ctx context.Context, list []Object) error
}

// An AuditEntry says who changed what, or did what. It is an object itself; ids grow with time.
type AuditEntry struct {
	ID     string          `json:"id"`
	Time   time.Time       `json:"time"`
	By     string          `json:"by"`
	Action string          `json:"action"`
	Kind   string          `json:"kind"`
	Object string          `json:"object"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Of what comes in numbers: from where, how often since Time, and when last.
	Address string     `json:"address,omitempty"`
	Count   int        `json:"count,omitempty"`
	Last    *time.Time `json:"last,omitempty"`
}

// NewAuditID is an id that comes after all earlier ones.
func NewAuditID(now time.Time) string {
	return ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String()
}

// Stored is the entry in its part of the trail.
func (a *AuditEntry) Stored() (Object, error) {
	o := Object{Kind: KindAudit, ID: a.ID}
	switch {
	case a.Kind == KindLogin && a.Action == ActionRefuse:
		o.Kind = KindAuditRefusal
	case a.Kind == KindLogin:
		o.Kind = KindAuditLogin
	case a.Kind == KindAlert:
		o.Kind = KindAuditAlert
	}
	var err error
	if o.Value, err = json.Marshal(a); err != nil {
		return o, fmt.Errorf("storage: audit entry: %w", err)
	}
	return o, nil
}
