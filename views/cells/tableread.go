package cells

// Sub takes away what o counted; extremes and samples stay.
func (c *Tally) Sub(o *Tally) {
	c.Counts.Sub(&o.Counts)
	c.Failed -= o.Failed
}

// LabelsOf returns the label values of a series, or nil when match refuses them.
func (t *TableStore) LabelsOf(id uint32, match func(labels []string) bool) []string {
	key := t.Dict.Key(id)
	if key == "" {
		return nil
	}
	if l := SplitLabels(key); len(l) == len(t.Def.Labels)+1 && match(l) {
		return l
	}
	return nil
}
