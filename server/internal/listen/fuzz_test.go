package listen

import (
	"bytes"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
)

// FuzzFrames reads any bytes in any pieces. The frames are those that an HTTP/2 implementation finds
// in them.
func FuzzFrames(f *testing.F) {
	var good bytes.Buffer
	framer := http2.NewFramer(&good, nil)
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: []byte("x")})
	_ = framer.WriteData(1, true, []byte("hello"))
	f.Add(good.Bytes(), uint8(3))
	f.Add([]byte("\xff\xff\xff\x00\x00\xff\xff\xff\xff"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		var got []frame
		var r frameReader
		for rest := b; len(rest) > 0; {
			p := rest[:min(len(rest), int(piece)+1)]
			rest = rest[len(p):]
			for len(p) > 0 {
				read, after, whole := r.next(p)
				p = after
				if whole {
					got = append(got, read)
				}
			}
		}
		source := bytes.NewReader(b)
		for n := 0; ; n++ {
			want, err := http2.ReadFrameHeader(source)
			if err != nil {
				if n != len(got) {
					t.Fatalf("%d frames, want %d", len(got), n)
				}
				return
			}
			if n == len(got) {
				t.Fatalf("frame %d was not found", n)
			}
			if f := got[n]; f.length != want.Length || uint8(f.kind) != uint8(want.Type) ||
				f.flags != uint8(want.Flags) || f.stream != want.StreamID {
				t.Fatalf("frame %d is %+v, want %v", n, f, want)
			}
			_, _ = source.Seek(int64(want.Length), io.SeekCurrent)
		}
	})
}

// FuzzTraffic has a client send any bytes and a server answer with any others. What the connection
// holds is never below nothing, and when it is closed it holds nothing any more.
func FuzzTraffic(f *testing.F) {
	var client, server bytes.Buffer
	for id := uint32(1); id < 9; id += 2 {
		in, out := http2.NewFramer(&client, nil), http2.NewFramer(&server, nil)
		_ = in.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: id != 5})
		_ = in.WriteData(id, id != 3, []byte("hello"))
		_ = in.WriteRSTStream(id, http2.ErrCodeCancel)
		_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: id == 1})
		_ = out.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	f.Add(client.Bytes(), server.Bytes(), uint8(20))
	f.Add([]byte{0, 0, 0, 1, 4, 0, 0, 0, 1}, []byte{0, 0, 0, 1, 5, 0, 0, 0, 1}, uint8(0))
	f.Fuzz(func(t *testing.T, in, out []byte, piece uint8) {
		a, b := net.Pipe()
		defer b.Close()
		go func() { _, _ = io.Copy(io.Discard, b) }()
		bounds := NewBounds()
		c := newTraffic(a, a, bounds.strangers, func(string) {})
		c.in.skip = 0
		portions := map[string]*portion{
			"calls": &c.calls, "bytes": &c.bytes, "metadata": &c.metadata, "block": &c.block.portion,
		}
		size := int(piece) + 1
		for len(in)+len(out) > 0 {
			n := min(size, len(in))
			c.receive(in[:n])
			in = in[n:]
			m := min(size, len(out))
			_, _ = c.Write(out[:m])
			out = out[m:]
			for name, p := range portions {
				if held := p.held.Load(); held < 0 {
					t.Fatalf("it holds %d %s", held, name)
				}
			}
			if c.excess.Load() < 0 || c.debt.Load() < -maxCredit-answerCredit {
				t.Fatalf("excess %d, debt %d", c.excess.Load(), c.debt.Load())
			}
		}
		c.Close()
		for name, p := range portions {
			if p.held.Load() != 0 || p.share.held.Load() != 0 || p.share.pool.used.Load() != 0 {
				t.Errorf("closed, and it holds %d %s, its caller %d, all %d",
					p.held.Load(), name, p.share.held.Load(), p.share.pool.used.Load())
			}
		}
	})
}
