package listen

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// wire is both ends of a connection: what a client has, and what grpc would read from and write to.
type wire struct {
	client net.Conn
	server *traffic

	mu    sync.Mutex
	kinds []string // reported
}

func (w *wire) reported() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.kinds)
}

func newWire(t *testing.T, of *allowance) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	CloseIfStuck(t, client)
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{client: client}
	w.server = newTraffic(accepted, accepted, of, func(kind string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.kinds = append(w.kinds, kind)
	})
	t.Cleanup(func() { w.server.Close() })
	return w
}

// send writes the preface and the frames that write makes.
func (w *wire) send(t *testing.T, write func(*http2.Framer)) {
	t.Helper()
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	write(http2.NewFramer(&out, nil))
	go func() { _, _ = w.client.Write(out.Bytes()) }() // more than the socket takes at once
}

// drain reads what the client sent, as grpc's reader does, until it fails.
func (w *wire) drain() error {
	buffer := make([]byte, 32<<10)
	for {
		if _, err := w.server.Read(buffer); err != nil {
			return err
		}
	}
}

// awaitGone waits until the kernel tells that the client is gone.
func (w *wire) awaitGone(t *testing.T) {
	t.Helper()
	for began := time.Now(); !isGone(w.server.socket); runtime.Gosched() {
		if time.Since(began) > patience {
			t.Fatal("the client is not gone")
		}
	}
}

func TestFloodsAreCutOff(t *testing.T) {
	t.Parallel()
	const frames = 40_000 // more than two seconds' budget
	for name, write := range map[string]func(*http2.Framer){
		"PING":               func(f *http2.Framer) { _ = f.WritePing(false, [8]byte{}) },
		"SETTINGS":           func(f *http2.Framer) { _ = f.WriteSettings() },
		"PRIORITY":           func(f *http2.Framer) { _ = f.WritePriority(1, http2.PriorityParam{StreamDep: 3}) },
		"WINDOW_UPDATE":      func(f *http2.Framer) { _ = f.WriteWindowUpdate(0, 1) },
		"GOAWAY":             func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) },
		"empty DATA":         func(f *http2.Framer) { _ = f.WriteData(1, false, nil) },
		"empty CONTINUATION": func(f *http2.Framer) { _ = f.WriteContinuation(1, false, nil) },
		"RST_STREAM":         func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeCancel) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, NewBounds().strangers)
			w.server.overdrawn, w.server.owedAt = maxOverdrawn, time.Now() // it has slept as often as it may
			w.send(t, func(f *http2.Framer) {
				for range frames {
					write(f)
				}
			})
			if err := w.drain(); !errors.Is(err, errCutOff) {
				t.Fatalf("got %v, want a connection that is cut off", err)
			}
			if !slices.Contains(w.reported(), kindFrameFlood) {
				t.Errorf("reported %v", w.reported())
			}
			said, _ := io.ReadAll(w.client)
			goAway, err := http2.NewFramer(nil, bytes.NewReader(said)).ReadFrame()
			if f, ok := goAway.(*http2.GoAwayFrame); !ok || f.ErrCode != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("the client is told %v, %v", goAway, err)
			}
		})
	}
}

// A client that is cut off comes back, so a flood is slowed down first, unless it holds calls open.
func TestAFloodSleepsBeforeItIsCutOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opens bool
		lasts int64 // streams that may be open for long
		want  time.Duration
	}{
		"no call":                {false, 0, maxOverdrawn * maxFrameDebt},
		"an open call":           {true, 0, heldAge},
		"a stream that may last": {true, 1, maxOverdrawn * maxFrameDebt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, accepted := net.Pipe()
				defer client.Close()
				server := newTraffic(accepted, accepted, NewBounds().strangers, func(string) {})
				server.lasting.held.Store(test.lasts)
				go func() {
					_, _ = io.WriteString(client, http2.ClientPreface)
					f := http2.NewFramer(client, nil)
					if test.opens {
						_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true})
					}
					server.debt.Store(100 * strangerFrames)
					for f.WritePing(false, [8]byte{}) == nil {
						server.debt.Add(strangerFrames)
					}
				}()
				go func() { _, _ = io.Copy(io.Discard, client) }()
				began := time.Now()
				var err error
				for buffer := make([]byte, 32<<10); err == nil; {
					_, err = server.Read(buffer)
				}
				if slept := time.Since(began); !errors.Is(err, errCutOff) || slept < test.want || slept > test.want+maxFrameDebt {
					t.Errorf("%v after %v, want a connection that is cut off after about %v", err, slept, test.want)
				}
			})
		})
	}
}

// What a caller's other connections owe meets a quiet one now and then, for days: it is slowed down,
// never cut off.
func TestDebtsFarApartAreNoFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, accepted := net.Pipe()
		defer client.Close()
		server := newTraffic(accepted, accepted, NewBounds().strangers, func(string) {})
		go func() { _, _ = io.Copy(io.Discard, client) }()
		go func() { _, _ = io.WriteString(client, http2.ClientPreface) }()
		buffer := make([]byte, 32<<10)
		if _, err := server.Read(buffer); err != nil {
			t.Fatal(err)
		}
		for range 3 * maxOverdrawn {
			server.debt.Store(100 * strangerFrames)
			go func() { _ = http2.NewFramer(client, nil).WritePing(false, [8]byte{}) }()
			if _, err := server.Read(buffer); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestAnsweredCallsAreNoFlood(t *testing.T) {
	t.Parallel()
	w := newWire(t, NewBounds().strangers)
	const calls = 20_000
	w.send(t, func(f *http2.Framer) {
		for id := uint32(1); id < 2*calls; id += 2 {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true})
			_ = f.WriteData(id, true, []byte{1})
			_ = f.WriteWindowUpdate(0, 1)
			_ = f.WritePing(true, [8]byte{})
		}
	})
	answers := http2.NewFramer(w.server, w.server)
	go func() { _, _ = io.Copy(io.Discard, w.client) }()
	if _, err := io.ReadFull(w.server, make([]byte, prefaceSize)); err != nil {
		t.Fatal(err)
	}
	for answered := 0; answered < calls; {
		got, err := answers.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := got.(*http2.DataFrame); ok {
			answered++
			for _, ends := range []bool{false, true} {
				answer := http2.HeadersFrameParam{StreamID: data.StreamID, EndHeaders: true, EndStream: ends}
				if err := answers.WriteHeaders(answer); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if kinds := w.reported(); kinds != nil {
		t.Errorf("reported %v", kinds)
	}
	if open := w.server.calls.held.Load(); open != 0 {
		t.Errorf("%d calls are open", open)
	}
}

func TestWhatNobodyWaitsForIsNotRead(t *testing.T) {
	t.Parallel()
	w := newWire(t, NewBounds().strangers)
	if _, err := w.client.Write(make([]byte, 60_000)); err != nil {
		t.Fatal(err)
	}
	w.client.Close()
	buffer := make([]byte, 4096)
	w.awaitGone(t)
	read := 0
	for {
		n, err := w.server.Read(buffer)
		read += n
		if err != nil {
			break
		}
	}
	if read != 0 {
		t.Errorf("%d bytes of a client that is gone were read", read)
	}
}

func TestRequestsThatHoldTooMuchAreCutOff(t *testing.T) {
	t.Parallel()
	bounds := NewBounds()
	w := newWire(t, bounds.strangers)
	w.send(t, func(f *http2.Framer) {
		for id := uint32(1); id < 400; id += 2 {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true})
			_ = f.WriteData(id, false, make([]byte, 16_000))
		}
	})
	if err := w.drain(); !errors.Is(err, errCutOff) {
		t.Fatalf("got %v, want a connection that is cut off", err)
	}
	if !slices.Contains(w.reported(), kindHeldBytes) {
		t.Errorf("reported %v", w.reported())
	}
	if held, calls := bounds.strangers.bytes.held.Load(), bounds.strangers.calls.held.Load(); held != 0 || calls != 0 {
		t.Errorf("%d bytes and %d calls are held after the end", held, calls)
	}
}

// Calls beyond the share are refused, so they must not take the places of other callers meanwhile.
func TestCallsBeyondTheShareTakeNoPlace(t *testing.T) {
	t.Parallel()
	bounds := NewBounds()
	flooder, _ := bounds.join("flooder")
	w := newWire(t, flooder)
	w.send(t, func(f *http2.Framer) {
		for id := uint32(1); id < 2*2*maxCalls; id += 2 {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true})
		}
	})
	_ = w.drain()
	if held := flooder.calls.held.Load(); held != 0 {
		t.Errorf("%d calls are held after the end", held)
	}
	w = newWire(t, flooder)
	w.server.in = frameReader{} // behind the preface
	for id := uint32(1); id < 2*2*maxCalls; id += 2 {
		w.server.receive([]byte{0, 0, 0, byte(frameHeaders), flagEndHeaders, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)})
	}
	if used := bounds.calls.used.Load(); used > maxCalls/2 {
		t.Errorf("%d of %d places are used by one caller", used, maxCalls)
	}
	if w.server.excess.Load() == 0 {
		t.Error("no call is beyond the share")
	}
	other, _ := bounds.join("other")
	newcomer := newPortion(&other.calls)
	newcomer.take(1)
	if newcomer.isOver() {
		t.Error("no place is left for another caller")
	}
}

// A stream of reflection is open as long as its client likes, and excuses no other call.
func TestOneLongStreamExcusesNoOtherCall(t *testing.T) {
	t.Parallel()
	of, _ := NewBounds().join("somebody")
	w := newWire(t, of)
	w.server.in = frameReader{} // behind the preface
	w.server.began = time.Now().Add(-time.Hour)
	for id := uint32(1); id <= 3; id += 2 {
		w.server.streams.received(client(frameHeaders, id, 50, flagEndHeaders).frame, 0)
		w.server.lasting.take(1)
	}
	w.server.endLateCalls()
	if kinds := w.reported(); kinds != nil {
		t.Fatalf("two long streams: reported %v", kinds)
	}
	w.server.lasting.take(-1)
	w.server.endLateCalls()
	if _, err := io.ReadAll(w.client); err != nil {
		t.Fatal(err)
	}
	if kinds := w.reported(); !slices.Equal(kinds, []string{kindLateRequest}) {
		t.Errorf("one long stream and another call: reported %v", kinds)
	}
}
