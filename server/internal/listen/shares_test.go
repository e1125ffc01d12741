package listen

import "testing"

func fill(portions ...*portion) {
	for more := true; more; {
		more = false
		for _, p := range portions {
			p.take(1)
			if p.isOver() {
				p.take(-1)
				continue
			}
			more = true
		}
	}
}

func newPortion(of *share) *portion { return &portion{share: of} }

func TestSharesLeavePlacesForNewcomers(t *testing.T) {
	t.Parallel()
	const size = 2304
	for name, test := range map[string]struct{ callers, connections int }{
		"one connection":               {1, 1},
		"one caller, many connections": {1, 64},
		"two callers":                  {2, 8},
		"many callers":                 {40, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := pool{size: size}
			var portions []*portion
			shares := make([]*share, test.callers)
			for i := range shares {
				shares[i] = &share{pool: &all}
				for range test.connections {
					portions = append(portions, newPortion(shares[i]))
				}
			}
			fill(portions...)
			if used := all.used.Load(); used > size-1 {
				t.Errorf("%d of %d places are taken", used, size)
			}
			for who, of := range map[string]*share{"a newcomer": {pool: &all}, "another connection of the same caller": shares[0]} {
				newcomer := newPortion(of)
				newcomer.take(1)
				if newcomer.isOver() {
					t.Errorf("no place is left for %s", who)
				}
				newcomer.take(-1)
			}
		})
	}
}

func TestOneConnectionMayHaveAThousandCalls(t *testing.T) {
	t.Parallel()
	alone := newPortion(&share{pool: &pool{size: 2304}})
	fill(alone)
	if got := alone.held.Load(); got != 1024 {
		t.Errorf("a connection that is alone gets %d places, want 1024", got)
	}
}

func TestAModestConnectionFindsAPlaceBesideGreedyOnes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		used   int64 // by another caller
		modest int64 // places that it gets
	}{
		"most of the pool is free":    {0, 4},
		"less than a quarter is free": {1800, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := pool{size: 2304, modest: 4}
			other := newPortion(&share{pool: &all})
			other.take(test.used)
			caller := &share{pool: &all}
			greedy := make([]*portion, 64)
			for i := range greedy {
				greedy[i] = newPortion(caller)
			}
			fill(greedy...)
			modest := newPortion(caller)
			fill(modest)
			if got := modest.held.Load(); got != test.modest {
				t.Errorf("the modest connection gets %d places, want %d", got, test.modest)
			}
		})
	}
}

func TestAQuarterThatIsFreeIsForModestConnections(t *testing.T) {
	t.Parallel()
	all := pool{size: 8, modest: 4}
	caller := &share{pool: &all}
	newPortion(caller).take(5)
	modest := newPortion(caller)
	for places, over := range map[int64]bool{1: false, 2: true} { // a quarter is free, less is free
		modest.take(places)
		if modest.isOver() != over {
			t.Errorf("a modest connection with %d places is over its share: %t", places, !over)
		}
		modest.take(-places)
	}
}
