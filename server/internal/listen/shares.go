package listen

import "sync/atomic"

// pool is a number of places that connections share so that nobody can take them all. There are no
// fixed parts: a caller may go on taking while what it has is less than what is free, and one of its
// connections while what it has is less than connectionGreed times what is left for that caller
// ("dynamic thresholds", Choudhury and Hahne, 1998). So a caller alone gets half, two get a third
// each, and a newcomer finds a place until some ten callers, or four connections of its own caller,
// hold all they may.
//
// Connections that have next to nothing are left alone while a quarter of the pool is free, so that a
// caller's greedy connections do not starve its modest ones.
//
// Places are counted as they are taken, over the bound too. To refuse what is over is up to the
// one who asks.
type pool struct {
	size   int64
	modest int64 // what a connection may have in any case
	used   atomic.Int64
}

// connectionGreed leaves a ninth of a caller's part to its other connections.
const connectionGreed = 8

// share is what a caller has of a pool.
type share struct {
	pool *pool
	held atomic.Int64
}

// portion is what a connection has of its caller's share.
type portion struct {
	share *share
	held  atomic.Int64
}

// take counts n places more or, below 0, fewer.
func (p *portion) take(n int64) {
	p.held.Add(n)
	p.share.held.Add(n)
	p.share.pool.used.Add(n)
}

// isOver reports whether the connection, or its caller, has more than its share.
func (p *portion) isOver() bool {
	all, held := p.share.pool, p.held.Load()
	if held <= all.modest && all.used.Load() <= all.size*3/4 {
		return false
	}
	left := min(all.size-all.used.Load(), all.size/2) - p.share.held.Load()
	return held > connectionGreed*left
}
