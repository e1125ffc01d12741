package listen

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// piped is a connection without a kernel, so that its time is that of the test's bubble.
type piped struct {
	client  *http2.Framer
	conn    net.Conn
	server  *traffic
	kinds   []string // reported
	outcome chan error
}

func newPiped(of *allowance) *piped {
	client, server := net.Pipe()
	p := &piped{conn: client, client: http2.NewFramer(client, nil), outcome: make(chan error, 1)}
	p.server = newTraffic(server, server, of, func(kind string) { p.kinds = append(p.kinds, kind) })
	gone := make(chan struct{})
	p.server.gone = gone
	go func() { _, _ = io.Copy(io.Discard, client) }()
	go func() { // as grpc's reader does
		defer close(gone)
		buffer := make([]byte, 32<<10)
		for {
			if _, err := p.server.Read(buffer); err != nil {
				_ = p.server.Close()
				p.outcome <- err
				return
			}
		}
	}()
	return p
}

func (p *piped) begin() error {
	_, err := p.conn.Write([]byte(http2.ClientPreface))
	return err
}

func (p *piped) headers(stream uint32, ends bool) error {
	return p.client.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: make([]byte, 100), EndHeaders: ends})
}

func TestAHeaderBlockHasTwoSeconds(t *testing.T) {
	t.Parallel()
	// Each writes for ten seconds at most, and says when its connection must end; 0: it must not.
	for name, test := range map[string]struct {
		write func(p *piped) error
		ends  time.Duration
	}{
		"whole at once": {func(p *piped) error { return p.headers(1, true) }, 0},
		"no end":        {func(p *piped) error { return p.headers(1, false) }, headersTimeout},
		"an end that comes in time": {func(p *piped) error {
			err := p.headers(1, false)
			time.Sleep(headersTimeout - time.Millisecond)
			return errors.Join(err, p.client.WriteContinuation(1, true, make([]byte, 100)))
		}, 0},
		"one frame after the other": {func(p *piped) error {
			err := p.headers(1, false)
			for err == nil {
				time.Sleep(time.Second / 2)
				err = p.client.WriteContinuation(1, false, make([]byte, 100))
			}
			return nil
		}, headersTimeout},
		"a frame byte by byte": {func(p *piped) error {
			_, err := p.conn.Write([]byte{0, 0x40, 0, byte(frameHeaders), flagEndHeaders, 0, 0, 0, 1})
			for err == nil {
				time.Sleep(time.Second / 2)
				_, err = p.conn.Write([]byte{0})
			}
			return nil
		}, headersTimeout},
		"several in time": {func(p *piped) error {
			var err error
			for id := uint32(1); id < 20; id += 2 {
				err = errors.Join(err, p.headers(id, false))
				time.Sleep(time.Second)
				err = errors.Join(err, p.client.WriteContinuation(id, true, nil))
			}
			return err
		}, 0},
		"the second has no end": {func(p *piped) error {
			err := p.headers(1, false)
			time.Sleep(time.Second)
			err = errors.Join(err, p.client.WriteContinuation(1, true, nil))
			return errors.Join(err, p.headers(3, false))
		}, time.Second + headersTimeout},
		"a message that comes late is another bound's": {func(p *piped) error {
			err := p.headers(1, true)
			time.Sleep(headersTimeout + time.Second)
			return errors.Join(err, p.client.WriteData(1, true, nil))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bounds := NewBounds()
				of, leave := bounds.join("uid:1")
				defer leave()
				p := newPiped(of)
				if err := p.begin(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				var writing sync.WaitGroup
				writing.Go(func() {
					if err := test.write(p); err != nil {
						t.Error(err)
					}
				})
				select {
				case <-p.outcome:
					if lasted := time.Since(began); test.ends == 0 || lasted < test.ends || lasted > test.ends+blockRetry {
						t.Errorf("ended after %v, want %v", lasted, test.ends)
					}
					if !slices.Contains(p.kinds, kindLateHeaders) {
						t.Errorf("reported %v", p.kinds)
					}
				case <-time.After(15 * time.Second):
					if test.ends != 0 {
						t.Error("it goes on")
					}
				}
				_ = p.conn.Close()
				writing.Wait()
				synctest.Wait()
				if used := bounds.blocks.used.Load(); used != 0 {
					t.Errorf("%d blocks are held afterwards", used)
				}
			})
		})
	}
}

// However many connections begin a header block, few of them are decoded at a time. The others
// wait, and go on when there is room.
func TestHeaderBlocksWaitForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bounds := NewBounds()
		of, leave := bounds.join("uid:1")
		defer leave()
		all := make([]*piped, 2*maxBlocks)
		for i := range all {
			all[i] = newPiped(of)
			if err := errors.Join(all[i].begin(), all[i].headers(1, false)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if used := bounds.blocks.used.Load(); used < maxBlocks/4 || used > maxBlocks/2 {
			t.Errorf("one caller holds %d blocks, of %d that there are", used, maxBlocks)
		}
		other, leaveOther := bounds.join("uid:2")
		defer leaveOther()
		newcomer := newPiped(other)
		if err := errors.Join(newcomer.begin(), newcomer.headers(1, false), newcomer.client.WriteContinuation(1, true, nil)); err != nil {
			t.Errorf("another caller: %v", err)
		}
		var ending sync.WaitGroup
		for _, p := range all {
			ending.Go(func() {
				if err := p.client.WriteContinuation(1, true, nil); err != nil {
					t.Errorf("one that waited: %v", err)
				}
			})
		}
		ending.Wait()
		synctest.Wait()
		for _, p := range slices.Concat(all, []*piped{newcomer}) {
			if p.kinds != nil {
				t.Errorf("reported %v", p.kinds)
			}
			_ = p.conn.Close()
		}
		synctest.Wait()
		if used := bounds.blocks.used.Load(); used != 0 {
			t.Errorf("%d blocks are held afterwards", used)
		}
	})
}

// To decode large header blocks takes the processor from others, so a flood of them is slowed down
// to their rate. Nobody waits for what clients send that have ID tokens.
func TestLargeHeaderBlocksHaveARate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		blocks, frames, size int // how many, of how many frames, of how many bytes
		every                time.Duration
		least, most          time.Duration // that they take in all
	}{
		"48 KiB without end":              {300, 3, 16 << 10, 0, 1300 * time.Millisecond, 1600 * time.Millisecond},
		"24 KiB in frames of 2 KiB":       {600, 12, 2 << 10, 0, 1300 * time.Millisecond, 1600 * time.Millisecond},
		"4 KiB without end":               {600, 1, 4 << 10, 0, 0, 0},
		"ID tokens of 32 KiB, 60 at once": {60, 2, 16 << 10, 0, 0, 0},
		"ID tokens of 32 KiB, 200 a second": {
			1000, 2, 16 << 10, 5 * time.Millisecond, 5 * time.Second, 5*time.Second + 10*time.Millisecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				of, _ := NewBounds().join("somebody")
				p := newPiped(of)
				if err := p.begin(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for i := range test.blocks {
					if err := p.block(uint32(2*i+1), test.frames, test.size); err != nil {
						t.Fatal(err)
					}
					time.Sleep(test.every)
				}
				if took := time.Since(began); took < test.least || took > test.most {
					t.Errorf("took %v, want %v to %v", took, test.least, test.most)
				}
				_ = p.conn.Close()
				<-p.outcome
			})
		})
	}
}

// block sends a whole header block, and takes the call back.
func (p *piped) block(stream uint32, frames, size int) error {
	part := make([]byte, size)
	err := p.client.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: part, EndHeaders: frames == 1})
	for i := 1; i < frames && err == nil; i++ {
		err = p.client.WriteContinuation(stream, i == frames-1, part)
	}
	if err == nil {
		err = p.client.WriteRSTStream(stream, http2.ErrCodeCancel)
	}
	return err
}
