// Package replay owns the generations: the views that follow the topics, at most one replay beside them that reads the same topics into a
// version of its own, and the swap. Reread reads the topics once more for a backtest.
package replay
