package listen

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// conversation is what a client writes: the preface and some of every kind of frame.
func conversation(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	var block bytes.Buffer
	if err := hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":method", Value: "POST"}); err != nil {
		t.Fatal(err)
	}
	for _, write := range []func() error{
		func() error {
			return framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 70_000})
		},
		func() error {
			return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
		},
		func() error { return framer.WriteData(1, false, make([]byte, 16_000)) },
		func() error { return framer.WritePing(false, [8]byte{1}) },
		func() error { return framer.WriteData(1, true, nil) },
		func() error { return framer.WriteRSTStream(1<<31-1, http2.ErrCodeCancel) },
		func() error { return framer.WriteGoAway(0, http2.ErrCodeNo, nil) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestFramesAreSeenHoweverTheBytesAreCutUp(t *testing.T) {
	t.Parallel()
	want := []frame{
		{6, 0x4, 0, 0},
		{1, frameHeaders, 0x4, 1},
		{16_000, frameData, 0, 1},
		{8, 0x6, 0, 0},
		{0, frameData, flagEndStream, 1},
		{4, frameResetStream, 0, 1<<31 - 1},
		{8, frameGoAway, 0, 0},
	}
	text := conversation(t)
	for _, size := range []int{1, 2, 7, 9, 10, 24, 33, 4096, len(text)} {
		reader := frameReader{skip: prefaceSize}
		var got []frame
		for rest := text; len(rest) > 0; {
			chunk := rest[:min(size, len(rest))]
			rest = rest[len(chunk):]
			for len(chunk) > 0 {
				var f frame
				var whole bool
				if f, chunk, whole = reader.next(chunk); whole {
					got = append(got, f)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d bytes: got %v, want %v", size, got, want)
		}
		if !reader.atBoundary() {
			t.Errorf("in pieces of %d bytes: not at the end of a frame", size)
		}
	}
}

// A GOAWAY goes out between two frames, never in the middle of one.
func TestAFrameBeginsAfterTheOneBefore(t *testing.T) {
	t.Parallel()
	text := []byte{0, 0, 2, byte(frameData), 0, 0, 0, 0, 1, 'x', 'y'}
	for size := range len(text) + 1 {
		var reader frameReader
		for rest := text[:size]; len(rest) > 0; {
			_, rest, _ = reader.next(rest)
		}
		if want := size == 0 || size == len(text); reader.atBoundary() != want {
			t.Errorf("after %d bytes: a frame may begin: %t", size, !want)
		}
	}
}

func BenchmarkFrames(b *testing.B) {
	text := conversation(b)[prefaceSize:]
	var reader frameReader
	for b.Loop() {
		for rest := text; len(rest) > 0; {
			_, rest, _ = reader.next(rest)
		}
	}
}

// A flag means what it means in frames of its kind alone: 0x1 is also a SETTINGS' or a PING's ACK.
func TestFlagsCountInTheirKindsOfFrames(t *testing.T) {
	t.Parallel()
	for kind, want := range map[frameType]struct{ stream, headers bool }{
		frameData: {true, false}, frameHeaders: {true, true}, frameContinuation: {false, true},
		frameResetStream: {}, 0x4: {}, 0x6: {}, frameGoAway: {},
	} {
		all := frame{kind: kind, flags: 0xff}
		if all.endsStream() != want.stream || all.endsHeaders() != want.headers {
			t.Errorf("frame of kind %d ends its stream: %t, its headers: %t", kind, all.endsStream(), all.endsHeaders())
		}
		none := frame{kind: kind, flags: 0xff &^ (flagEndStream | flagEndHeaders)}
		if none.endsStream() || none.endsHeaders() {
			t.Errorf("frame of kind %d ends something without a flag", kind)
		}
	}
}
