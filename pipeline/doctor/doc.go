// Package doctor looks at the Kafka that WatchingCat is to read, and says what to change and why.
//
// It only reads: it creates no topic, commits no offset and joins no group. What it judges are facts that it got from the brokers
// (brokers.go, topics.go, consumption.go) and a sample of the newest records (sample.go, records.go, senders.go). Each judgement is a Finding.
package doctor
