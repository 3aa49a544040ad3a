// Package notify routes alerts and sends notifications: Alertmanager's own routing, grouping, inhibition, silences and receivers, embedded,
// with an alertmanager.yml as it is.
//
// The simple version: alerts from the evaluator's outbox are put into Alertmanager's provider, its dispatcher does the rest.
// What is added is that nothing is lost or notified twice when the process is killed:
//   - The notification log and the silences are written through to the store, entry by entry (keep.go).
//   - An outbox entry that only fires is done once the alert is put: the evaluator has the alert in its own state, and a start
//     puts all of those. An entry that resolves is done when no aggregation group holds the resolved alert any more, which is
//     when its notification was sent, or was none to send (drain.go).
//   - A start puts everything before the dispatcher runs, so that a group is never seen with half of its alerts.
//
// A kill between a receiver's answer and the log's write repeats that one notification.
//
// Alertmanager lives in wall time: an alert's EndsAt is set from the wall clock here, never from event time.
package notify
