package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/notify"
)

// sending is notifications that go to Alertmanagers elsewhere too.
type sending struct {
	oneReceiver
	to []notify.AlertmanagerState
}

func (s sending) Alertmanagers() []notify.AlertmanagerState { return s.to }

// Of each Alertmanager elsewhere the API says whether it accepts alerts, what the last error was and when, and the counts.
func TestAlertmanagersElsewhere(t *testing.T) {
	early, late := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), time.Date(2026, 11, 23, 10, 1, 0, 0, time.UTC)
	b := newBench(t, func(c *Config) {
		c.Notifications = sending{to: []notify.AlertmanagerState{
			{URL: "http://a"},
			{URL: "http://b", LastSuccess: early, Sent: 7},
			{URL: "http://c", LastSuccess: early, LastFailure: late, LastError: "503", Sent: 7, Dropped: 3, Pending: 2},
			{URL: "http://d", LastSuccess: late, LastFailure: early, LastError: "503", Sent: 7, Dropped: 3},
			{URL: "http://e", LastFailure: early, LastError: "refused", Dropped: 3},
		}}
	})
	w := b.get("/api/v1/receivers")
	require.Equal(t, 200, w.Code)
	var got rest.ReceiverList
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	refused, down := "refused", "503"
	require.Equal(t, []rest.Alertmanager{
		{Url: "http://a", State: rest.AlertmanagerStateUnknown},
		{Url: "http://b", State: rest.AlertmanagerStateAccepting, LastSuccess: &early, Sent: 7},
		{Url: "http://c", State: rest.AlertmanagerStateFailing, LastSuccess: &early, LastFailure: &late, Error: &down, Sent: 7, Dropped: 3,
			Pending: 2},
		{Url: "http://d", State: rest.AlertmanagerStateAccepting, LastSuccess: &late, LastFailure: &early, Error: &down, Sent: 7,
			Dropped: 3},
		{Url: "http://e", State: rest.AlertmanagerStateFailing, LastFailure: &early, Error: &refused, Dropped: 3},
	}, got.Alertmanagers)
}
