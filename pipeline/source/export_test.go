package source

// ErrClosed is what Subscribe returns after Close.
var ErrClosed = errSourceClosed

// Waiting returns how many records of a partition wait to be handed out, and whether it is paused.
func (s *Source) Waiting(partition int32) (records int, paused bool) {
	for sub := range s.subs {
		p := sub.parts[partition]
		p.mu.Lock()
		defer p.mu.Unlock()
		records, paused = records+len(p.pending), paused || p.paused
	}
	return records, paused
}
