package views

// The tags in storage.TableMeta: the byte after the prefix. MetaGaps and MetaBegun belong to pipeline, which keeps gaps there and how
// reading of the topics began: when at their end, and which had lost their oldest records.
const (
	metaState        = 's'
	metaFormat       = 'v'
	metaFloor        = 'f'
	metaNames        = 'n'
	metaDict         = 'd'
	metaRaw          = 'r'
	metaPatterns     = 'p'
	metaSpansSeen    = 'D'
	MetaGaps         = 'g'
	MetaBegun        = 'b'
	viewRED          = 'r'
	viewEdges        = 'e'
	viewErrors       = 'x'
	viewDatabases    = 'd'
	viewMessaging    = 'm'
	viewVersions     = 'v'
	viewLogs         = 'l'
	viewPatterns     = 'p'
	rawSignalSpans   = 't'
	rawSignalLogs    = 'l'
	rawSignalFilters = 'f' // of the blocks of spans
)

// metaTags and viewLetters name each letter once: one that comes twice does not compile.
var (
	_ = [256]string{metaState: "state", metaFormat: "format", metaFloor: "floor", metaNames: "names", metaDict: "dictionaries of tables",
		metaRaw: "raw blocks", metaPatterns: "log patterns", metaSpansSeen: "de-duplication of spans", MetaGaps: "gaps", MetaBegun: "how reading of topics began"}
	_ = [256]string{viewRED: "red", viewEdges: "edges", viewErrors: "errors", viewDatabases: "databases", viewMessaging: "messaging",
		viewVersions: "versions", viewLogs: "logs", viewPatterns: "patterns"}
	_ = [256]string{rawSignalSpans: "spans", rawSignalLogs: "log lines", rawSignalFilters: "filters of spans"}
)
