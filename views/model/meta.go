package model

// The tags in storage.TableMeta: the byte after the prefix. MetaGaps and MetaBegun belong to pipeline, which keeps gaps there and how
// reading of the topics began: when at their end, and which had lost their oldest records.
const (
	metaState        = 's'
	MetaFormat       = 'v'
	MetaFloor        = 'f'
	metaNames        = 'n'
	MetaDict         = 'd'
	MetaRaw          = 'r'
	MetaPatterns     = 'p'
	MetaSpansSeen    = 'D'
	MetaGaps         = 'g'
	MetaBegun        = 'b'
	LetterRED        = 'r'
	LetterEdges      = 'e'
	LetterErrors     = 'x'
	LetterDatabases  = 'd'
	LetterMessaging  = 'm'
	LetterVersions   = 'v'
	LetterLogs       = 'l'
	LetterPatterns   = 'p'
	RawSignalSpans   = 't'
	RawSignalLogs    = 'l'
	RawSignalFilters = 'f' // of the blocks of spans
)

// metaTags and viewLetters name each letter once: one that comes twice does not compile.
var (
	_ = [256]string{metaState: "state", MetaFormat: "format", MetaFloor: "floor", metaNames: "names", MetaDict: "dictionaries of tables",
		MetaRaw: "raw blocks", MetaPatterns: "log patterns", MetaSpansSeen: "de-duplication of spans", MetaGaps: "gaps",
		MetaBegun: "how reading of topics began"}
	_ = [256]string{LetterRED: "red", LetterEdges: "edges", LetterErrors: "errors", LetterDatabases: "databases",
		LetterMessaging: "messaging", LetterVersions: "versions", LetterLogs: "logs", LetterPatterns: "patterns"}
	_ = [256]string{RawSignalSpans: "spans", RawSignalLogs: "log lines", RawSignalFilters: "filters of spans"}
)
