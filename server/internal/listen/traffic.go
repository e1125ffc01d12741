package listen

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxFrameDebt is how long a connection's reader sleeps at most for idle frames over the budget.
	maxFrameDebt = time.Second
	// overdrawnFor is how long a connection is remembered to have owed too much.
	overdrawnFor = 10 * maxFrameDebt
	// maxOverdrawn is how often in a row a connection may owe more than that before it is cut off. A
	// client that is cut off comes back at once, and is dearer then than one that sleeps.
	maxOverdrawn = 8
	// heldAge is how old a call is that holds a place from others, on a connection that owes too much.
	heldAge = 250 * time.Millisecond
	// requestTimeout is how long a request may take to arrive whole.
	requestTimeout = 5 * time.Second
	// callTimeout is how long a call may be open in all. None takes that long here: its answer waits
	// for a client that does not read.
	callTimeout = time.Minute
	// connectionCost is what a connection spends of its caller's idle frames.
	connectionCost = 16
	// maxCredit bounds the idle frames that answered calls excuse in advance.
	maxCredit = 256
	// farewellTimeout bounds the GOAWAY to a client that is cut off.
	farewellTimeout = 100 * time.Millisecond
)

// traffic follows what passes through a connection, below grpc and after decryption. It counts what
// the connection holds, and makes its reader sleep when it sends more idle frames than its budget:
// nobody else waits then. Only a connection far over the budget, or one that holds too much, is cut
// off.
type traffic struct {
	net.Conn
	socket net.Conn // beneath TLS
	report func(kind string)

	allowance *allowance
	calls     portion
	excess    atomic.Int64 // calls that are open beyond the share: they are being refused
	bytes     portion
	own       *rate.Limiter // idle frames that are this connection's whatever its caller's others do
	debt      atomic.Int64  // idle frames not yet paid for
	overdrawn int           // how often in a row, overdrawnFor apart at most, it owed too much
	owedAt    time.Time     // when it last did
	headers   int           // bytes of large header blocks not yet paid for
	lasting   portion       // streams of health and reflection
	metadata  portion
	over      atomic.Bool // by the client, by a goodbye or by us: if grpc closes it then, it has a reason

	streams streams
	began   time.Time
	proven  func() // called at the first whole request
	in      frameReader
	block   block

	ready *readyReader // nil: the socket does not say when there is something to read

	writing sync.Mutex
	out     frameReader

	closing sync.Once
	gone    <-chan struct{} // closed once the socket is; nil: never
}

func newTraffic(conn, socket net.Conn, of *allowance, report func(kind string)) *traffic {
	return &traffic{
		Conn: conn, socket: socket, report: report, allowance: of,
		calls: portion{share: &of.calls}, bytes: portion{share: &of.bytes},
		lasting: portion{share: &of.streams}, metadata: portion{share: &of.metadata},
		block: block{portion: portion{share: &of.blocks}},
		own:   rate.NewLimiter(connectionFloor, connectionFloor), began: time.Now(),
		in: frameReader{skip: prefaceSize}, ready: newReadyReader(conn),
	}
}

// Read returns what the client sent, once its frames are paid for: of a flood that is cut off grpc
// sees nothing.
func (t *traffic) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	return t.take(p, n, err)
}

// take looks at what was read into p, and returns what grpc sees of it.
func (t *traffic) take(p []byte, n int, err error) (int, error) {
	n, err = t.judge(p, n, err)
	if err != nil {
		t.over.Store(true)
	}
	return n, err
}

func (t *traffic) judge(p []byte, n int, err error) (int, error) {
	if n == 0 {
		return n, err
	}
	t.receive(p[:n])
	slept, unpaid := t.pay()
	if unpaid == nil {
		slept, unpaid = t.payHeaders(slept)
	}
	switch {
	case unpaid != nil:
		return 0, unpaid
	case t.bytes.isOver():
		return 0, t.cutOff(kindHeldBytes)
	case !t.block.follow(t.in.skip > 0, t.endLateHeaders, t.gone):
		return 0, t.cutOff(kindHeldBytes)
	case (slept || n == len(p)) && isGone(t.socket): // nobody waits for the answers
		return 0, io.EOF
	default:
		return n, err
	}
}

func (t *traffic) age() time.Duration { return time.Since(t.began) }

func (t *traffic) receive(p []byte) {
	now := t.age()
	for len(p) > 0 {
		f, rest, whole := t.in.next(p)
		p = rest
		if !whole {
			continue
		}
		t.block.received(f)
		t.headers += f.dearBytes()
		c := t.streams.received(f, now)
		t.apply(c)
		if c.opened > 0 && t.calls.isOver() {
			t.exceed(f.stream)
		}
	}
}

// exceed takes a call out of the share again, so that what will be refused takes no place from
// others, and charges it.
func (t *traffic) exceed(id uint32) {
	if !t.streams.exceed(id) {
		return // the connection was closed meanwhile
	}
	t.calls.take(-1)
	t.excess.Add(1)
	t.debt.Add(refusalCost)
}

// Write passes on what the server sends.
func (t *traffic) Write(p []byte) (int, error) {
	t.writing.Lock()
	defer t.writing.Unlock()
	for rest := p; len(rest) > 0; {
		f, after, whole := t.out.next(rest)
		rest = after
		if whole {
			c := t.streams.sent(f, t.age)
			t.apply(c)
			t.reportOwn(f, c, after)
		}
	}
	return t.Conn.Write(p)
}

func (t *traffic) apply(c change) {
	if c.opened != 0 {
		t.calls.take(c.opened)
	}
	if c.excess != 0 {
		t.excess.Add(c.excess)
	}
	if c.bytes != 0 {
		t.bytes.take(c.bytes)
	}
	if c.idle > 0 || c.idle < 0 && t.debt.Load() > -maxCredit {
		t.debt.Add(c.idle)
	}
	if c.whole && t.proven != nil {
		t.proven()
		t.proven = nil
	}
}

// pay sleeps for the idle frames that are not paid for, and reports whether it did.
func (t *traffic) pay() (bool, error) {
	frames := int(t.debt.Load())
	if frames <= 0 {
		return false, nil
	}
	t.debt.Add(int64(-frames))
	now := time.Now()
	if t.own.AllowN(now, frames) {
		return false, nil
	}
	wait := t.allowance.spend(frames)
	if now.Sub(t.owedAt) > overdrawnFor {
		t.overdrawn = 0
	}
	switch {
	case wait <= 0:
		t.overdrawn = 0
		return false, nil
	case wait <= maxFrameDebt:
		t.overdrawn = 0
	case t.overdrawn == maxOverdrawn:
		return true, t.cutOff(kindFrameFlood)
	default:
		t.overdrawn++
		t.owedAt = now
	}
	t.report(kindFrameBudget)
	return true, t.sleepOff(min(wait, maxFrameDebt))
}

// payHeaders sleeps for the large header blocks that are not paid for, and reports whether the
// reader has slept.
func (t *traffic) payHeaders(slept bool) (bool, error) {
	if t.headers == 0 {
		return slept, nil
	}
	wait := t.allowance.delayHeaders(t.headers)
	t.headers = 0
	if wait <= 0 {
		return slept, nil
	}
	t.report(kindHeaders)
	if !sleep(wait, t.gone) {
		return true, net.ErrClosed
	}
	return true, nil
}

// sleepOff lets the reader sleep. A connection that is overdrawn and holds calls meanwhile is cut
// off.
func (t *traffic) sleepOff(wait time.Duration) error {
	if t.overdrawn > 0 {
		wait -= heldAge
		if !sleep(heldAge, t.gone) {
			return net.ErrClosed
		}
		if t.streams.olderThan(heldAge, t.age()) > t.lasting.held.Load() {
			return t.cutOff(kindFrameFlood)
		}
	}
	if !sleep(wait, t.gone) {
		return net.ErrClosed
	}
	return nil
}

// sleep waits, and reports whether the connection is still there then.
func sleep(wait time.Duration, gone <-chan struct{}) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone:
		return false
	}
}

// endLateCalls cuts the connection off if calls have been open for too long, other than the streams
// that may be.
func (t *traffic) endLateCalls() {
	if t.streams.late(t.age()) > t.lasting.held.Load() {
		go t.cutOff(kindLateRequest) //nolint:errcheck // nobody waits for a client that does not read
	}
}

// endLateHeaders cuts the connection off because of its header block.
func (t *traffic) endLateHeaders() { _ = t.cutOff(kindLateHeaders) }

// cutOff closes the connection, with a GOAWAY if what was sent so far ends with a frame.
func (t *traffic) cutOff(kind string) error {
	t.over.Store(true)
	t.report(kind)
	t.sendAway(enhanceYourCalm)
	return errors.Join(errCutOff, t.Close())
}

// sendAway sends a GOAWAY that says that no call was served, if what was sent so far ends with a
// frame.
func (t *traffic) sendAway(code byte) {
	if !t.writing.TryLock() {
		return
	}
	defer t.writing.Unlock()
	if t.out.atBoundary() {
		_ = t.SetWriteDeadline(time.Now().Add(farewellTimeout))
		_, _ = t.Conn.Write([]byte{0, 0, 8, byte(frameGoAway), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, code})
	}
}

var errCutOff = errors.New("the connection was cut off")

// Close gives back what the connection holds. Calls that were open have cost something, and so has
// the connection: its caller pays for both, or it could go on with the next one.
func (t *traffic) Close() error {
	t.closing.Do(func() {
		if !t.over.Load() {
			t.report(kindClosed)
		}
		t.block.end()
		left := t.streams.end()
		t.apply(left)
		t.allowance.spend(connectionCost - int(left.opened+left.excess)*youngResetCost)
	})
	if t.Conn != t.socket { // TLS waits 5 s to say farewell to a client that does not read
		defer time.AfterFunc(farewellTimeout, func() { _ = t.socket.Close() }).Stop()
	}
	return t.Conn.Close()
}
