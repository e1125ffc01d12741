package listen

// HTTP/2 frames: RFC 9113, sections 3.4, 4.1 and 6.
const (
	prefaceSize     = len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	frameHeaderSize = 9
)

type frameType uint8

const (
	frameData         frameType = 0x0
	frameHeaders      frameType = 0x1
	frameResetStream  frameType = 0x3
	frameGoAway       frameType = 0x7
	frameContinuation frameType = 0x9
)

// Error codes of a GOAWAY or an RST_STREAM.
const (
	noError         = 0x0
	frameSizeError  = 0x6
	cancelled       = 0x8
	enhanceYourCalm = 0xb
)

const (
	flagEndStream  = 0x1 // of DATA and HEADERS
	flagEndHeaders = 0x4 // of HEADERS and CONTINUATION
)

// frame is the header of an HTTP/2 frame.
type frame struct {
	length uint32 // of the payload
	kind   frameType
	flags  uint8
	stream uint32
}

func (f frame) endsStream() bool {
	return (f.kind == frameData || f.kind == frameHeaders) && f.flags&flagEndStream != 0
}

func (f frame) endsHeaders() bool {
	return (f.kind == frameHeaders || f.kind == frameContinuation) && f.flags&flagEndHeaders != 0
}

// freeHeaders is what a call's HEADERS may take without being counted: more than calls have that
// carry no ID token.
const freeHeaders = 4 << 10

// dearBytes are those of a large header block: to decode it costs as much as some calls.
func (f frame) dearBytes() int {
	switch f.kind {
	case frameHeaders:
		return max(0, int(f.length)-freeHeaders)
	case frameContinuation:
		return int(f.length)
	default:
		return 0
	}
}

// frameReader follows the frames in one direction of a connection, however the bytes are cut up.
// It reads nothing but their headers. The zero value is at the beginning of a frame.
type frameReader struct {
	skip   int // bytes that are no frame header: the preface, or a payload
	header [frameHeaderSize]byte
	have   int
}

// next returns the first frame whose header ends in p, and what follows that header.
func (r *frameReader) next(p []byte) (frame, []byte, bool) {
	if skipped := min(r.skip, len(p)); skipped > 0 {
		r.skip -= skipped
		p = p[skipped:]
	}
	h := p
	if r.have == 0 && len(p) >= frameHeaderSize {
		p = p[frameHeaderSize:]
	} else {
		n := copy(r.header[r.have:], p)
		r.have += n
		p = p[n:]
		if r.have < frameHeaderSize {
			return frame{}, p, false
		}
		r.have = 0
		h = r.header[:]
	}
	f := frame{
		length: uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2]),
		kind:   frameType(h[3]),
		flags:  h[4],
		stream: uint32(h[5]&0x7f)<<24 | uint32(h[6])<<16 | uint32(h[7])<<8 | uint32(h[8]),
	}
	r.skip = int(f.length)
	return f, p, true
}

// atBoundary reports whether a frame could begin here.
func (r *frameReader) atBoundary() bool { return r.skip == 0 && r.have == 0 }
