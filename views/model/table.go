package model

// LayoutName is the name under which a Layout has the table.
func (t Table) LayoutName() string {
	if t == TablePatterns {
		t = TableLogs
	}
	return t.String()
}

// Table names one table.
type Table uint8

// The tables.
const (
	TableErrors Table = iota
	TableDatabases
	TableMessaging
	TableVersions
	TableLogs
	TablePatterns
	Tables // how many there are
)

// TableDef says what differs between tables.
type TableDef struct {
	Name   string
	Letter byte // in keys
	Labels []string
	Limit  func(*Limits) int
}

// TableDefs has the definition of each table.
var TableDefs = [Tables]TableDef{
	TableErrors: {"errors", LetterErrors, []string{"service", "operation", "type", "message", "source"},
		func(l *Limits) int { return l.ErrorGroups }},
	TableDatabases: {"databases", LetterDatabases, []string{"service", "system", "namespace", "operation", "collection"},
		func(l *Limits) int { return l.Series }},
	TableMessaging: {"messaging", LetterMessaging, []string{"service", "system", "destination", "kind"},
		func(l *Limits) int { return l.Series }},
	TableVersions: {"versions", LetterVersions, []string{"service", "version"}, func(l *Limits) int { return l.Series }},
	TableLogs:     {"logs", LetterLogs, []string{"service", "severity"}, func(l *Limits) int { return l.Series }},
	TablePatterns: {"patterns", LetterPatterns, []string{"service", "cluster"}, func(l *Limits) int { return l.Patterns * 100 }},
}

// String is the table's name.
func (t Table) String() string { return TableDefs[t].Name }

// Labels are the names of the table's labels.
func (t Table) Labels() []string { return TableDefs[t].Labels }

// MaxLabel bounds a label value, in bytes; longer ones are cut.
const MaxLabel = 256
