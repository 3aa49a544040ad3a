// Package verify counts past windows of the topics again and compares the result with the views: spans by series, calls by edge, log
// lines by severity.
//
// It is written apart from the code that fills the views, by the counting rules alone: records are decoded with pdata, counts are maps,
// and nothing of batches, checkpoints, journals, levels or the order of arrival is known here. Only the conversion of other encodings into
// OTLP, and the names of keys, are shared. Where the order of arrival may decide how something counts, its cell is uncertain and not
// compared.
package verify
