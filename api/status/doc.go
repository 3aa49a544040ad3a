// Package status answers how the process is doing: health, the pipeline, the raw stores, replays, settings that the page needs. A request
// that names positions of the topics waits here until the views hold them.
package status
