package edges

// groupPages holds groups by number, in pages: a slice that grows by copying would hold twice what a backlog of halves takes, and the
// halves of ten seconds are most of what draining one needs.
type groupPages struct {
	pages []*[groupsOfPage]group
	N     uint32 // how many numbers were given
}

const groupsOfPage = 1 << 12

// At is the group of a number.
func (g *groupPages) At(i uint32) *group { return &g.pages[i/groupsOfPage][i%groupsOfPage] }

// add gives the next number.
func (g *groupPages) add() uint32 {
	if g.N%groupsOfPage == 0 {
		g.pages = append(g.pages, new([groupsOfPage]group))
	}
	g.N++
	return g.N - 1
}
