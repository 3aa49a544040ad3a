// Package configtopic keeps the objects that users make in a compacted topic, and folds them into storage.Objects on each replica.
package configtopic
