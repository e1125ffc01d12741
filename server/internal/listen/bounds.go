package listen

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What all connections of the process share.
const (
	// maxCalls bounds the calls that are open, each some 30 KB with its goroutine.
	maxCalls = 2304
	// maxHeldBytes bounds the requests of those calls.
	maxHeldBytes = 16 << 20
	// maxMetadataBytes bounds the metadata of calls that have much of it, decoded: with HPACK a few
	// bytes can stand for all of it.
	maxMetadataBytes = 16 << 20
	// maxBlocks bounds header blocks of which the rest has yet to come. Decoded, one may hold 256 KiB.
	maxBlocks = 32
	// modestCalls and modestBytes are what a connection may have however much its caller's others
	// hold.
	modestCalls = 4
	modestBytes = modestCalls * 16 << 10
	// maxLongStreams bounds streams of health and reflection, which last as long as their client
	// likes.
	maxLongStreams = 64
	// maxStrangerCalls is what those who may do nothing share of the calls.
	maxStrangerCalls = 128
)

// How many idle frames may pass: those that move no call forward, and calls that were refused. A
// caller whose audit stalls cancels some ten thousand calls a second, and that is no attack.
const (
	callerFrames    = 12288 // a second, of all connections of a caller
	strangerFrames  = 256   // of all strangers together
	connectionFloor = 128   // of a connection, whatever its caller's others have spent
)

// How many bytes of large header blocks may pass a second, and at once: to decode 1 MiB takes some
// 15 ms. A caller may send 200 ID tokens of 32 KiB a second.
const (
	callerHeaders      = 8 << 20
	callerHeadersBurst = 2 << 20
	strangerHeaders    = 256 << 10
)

// Bounds is what calls may hold and how many idle frames may pass, over all connections of the
// process.
type Bounds struct {
	calls, bytes, streams, metadata, blocks pool
	strangers                               *allowance

	mu      sync.Mutex
	callers map[string]*allowance
}

// NewBounds returns bounds that nobody has used yet.
func NewBounds() *Bounds {
	b := &Bounds{callers: map[string]*allowance{}}
	b.calls.size, b.bytes.size, b.streams.size = maxCalls, maxHeldBytes, maxLongStreams
	b.metadata.size, b.blocks.size = maxMetadataBytes, maxBlocks
	b.calls.modest, b.bytes.modest = modestCalls, modestBytes
	b.strangers = b.newAllowance(strangerFrames)
	b.strangers.headers = rate.NewLimiter(strangerHeaders, strangerHeaders)
	// A pool of their own: what strangers hold is never taken from a caller.
	b.strangers.calls.pool = &pool{size: maxStrangerCalls}
	b.strangers.bytes.pool = &pool{size: maxHeldBytes / 16}
	b.strangers.streams.pool = &pool{}
	b.strangers.metadata.pool = &pool{size: maxMetadataBytes / 16}
	b.strangers.blocks.pool = &pool{size: maxBlocks / 8}
	return b
}

// allowance is what the connections of one caller share.
type allowance struct {
	calls, bytes, streams, metadata, blocks share

	frames      *rate.Limiter
	headers     *rate.Limiter
	connections int
}

func (b *Bounds) newAllowance(frames int) *allowance {
	return &allowance{
		calls: share{pool: &b.calls}, bytes: share{pool: &b.bytes}, streams: share{pool: &b.streams},
		metadata: share{pool: &b.metadata}, blocks: share{pool: &b.blocks},
		frames:  rate.NewLimiter(rate.Limit(frames), frames),
		headers: rate.NewLimiter(callerHeaders, callerHeadersBurst),
	}
}

// join returns the allowance of a caller for one more connection of its own, and what to call when
// that ends.
func (b *Bounds) join(caller string) (*allowance, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget()
	a := b.callers[caller]
	if a == nil {
		a = b.newAllowance(callerFrames)
		b.callers[caller] = a
	}
	a.connections++
	return a, sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		a.connections--
	})
}

// forget drops the allowances of callers that have no connection and a whole budget. A caller that
// has spent of its budget finds the rest when it comes back.
func (b *Bounds) forget() {
	for caller, a := range b.callers {
		if a.connections == 0 && a.frames.Tokens() >= float64(a.frames.Burst()) {
			delete(b.callers, caller)
		}
	}
}

// spend takes idle frames and returns how long it takes until they are paid for. Whoever owes more
// than maxFrameDebt goes no deeper into debt, so that an attack is forgotten seconds after its end.
func (a *allowance) spend(frames int) time.Duration {
	owed := a.debt()
	for most := a.frames.Burst(); frames > 0 && owed <= maxFrameDebt; frames -= most {
		owed = a.frames.ReserveN(time.Now(), min(frames, most)).Delay()
	}
	return owed
}

// delayHeaders takes bytes of header blocks and returns how long it takes until they are paid for.
func (a *allowance) delayHeaders(bytes int) time.Duration {
	return a.headers.ReserveN(time.Now(), min(bytes, a.headers.Burst())).Delay()
}

// debt is how long it takes until idle frames may pass again, below 0 if they may now.
func (a *allowance) debt() time.Duration {
	missing := -a.frames.Tokens()
	return time.Duration(missing / float64(a.frames.Limit()) * float64(time.Second))
}
