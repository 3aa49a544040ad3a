// Package alert is what rules decide and notify sends: alerts, the changes of their state, the evidence of why they fire, and the outbox.
//
// Record is an alert as it is stored. History keeps the newest transitions. Outbox is the queue between rules and notifications: an entry
// is written in the transaction that writes the records which it is about, and stays until notify is done with it. A crash between the
// decision and the notification loses nothing.
//
// Rule: types here hold and store; they decide nothing. Times are event times except where a comment says wall clock.
package alert
