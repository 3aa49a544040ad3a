// Package incident joins alerts that fire for one reason, and keeps what is known of them after they have resolved.
//
// An incident begins with the first alert that fires. Another joins it when its evidence names the same cause while the incident is open,
// or when it lies on the same path of the service map within JoinWithin. It resolves with its last alert, and opens again when one of its
// alerts fires within ReopenWithin: an alert that flaps is one incident.
//
// A Book is all of them. What an evaluation decides is planned in a Tx, whose entries are committed with the states of the alerts; memory
// follows the commit. Open incidents and a header of each of the others are in memory, the rest is read from the store.
//
// Rule: it decides which alerts belong together and keeps evidence; it gathers none. Times are event times except where a comment says
// wall clock.
package incident
