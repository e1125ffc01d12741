package rpc

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// unpacker unpacks requests that are compressed with gzip, for grpc. One that is too large is
// refused by the size that its end announces or, if that is a lie, once a byte too many is there.
type unpacker struct{ idle sync.Pool }

// unpacking is the memory that one request at a time is unpacked in.
type unpacking struct {
	packed, unpacked bytes.Buffer
	gzip             gzip.Reader
}

// tooLarge stands for any message that is: grpc refuses it for its length.
var tooLarge [maxMessageBytes + 1]byte

// Type implements grpc.Decompressor.
func (*unpacker) Type() string { return "gzip" }

// Do implements grpc.Decompressor. grpc has refused messages whose packed size is over the bound.
func (u *unpacker) Do(message io.Reader) ([]byte, error) {
	work, _ := u.idle.Get().(*unpacking)
	if work == nil {
		work = new(unpacking)
	}
	defer u.idle.Put(work)
	work.packed.Reset()
	if _, err := work.packed.ReadFrom(message); err != nil {
		return nil, fmt.Errorf("read the packed message: %w", err)
	}
	return work.unpack()
}

func (w *unpacking) unpack() ([]byte, error) {
	announced := announcedSize(w.packed.Bytes())
	if err := w.gzip.Reset(&w.packed); err != nil {
		return nil, fmt.Errorf("unpack the message: %w", err)
	}
	if announced > maxMessageBytes {
		return tooLarge[:], nil
	}
	w.unpacked.Reset()
	n, err := w.unpacked.ReadFrom(io.LimitReader(&w.gzip, maxMessageBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unpack the message: %w", err)
	case n > maxMessageBytes:
		return tooLarge[:], nil
	default:
		return bytes.Clone(w.unpacked.Bytes()), nil
	}
}

// announcedSize is what the end of a gzip stream says that it unpacks to (RFC 1952, section 2.3.1);
// of several streams in a row, the last. It is 0 if that cannot be, as when the end is missing.
func announcedSize(packed []byte) int {
	const (
		size     = 4
		maxRatio = 1032 // of DEFLATE
	)
	if len(packed) < size {
		return 0
	}
	announced := int(binary.LittleEndian.Uint32(packed[len(packed)-size:]))
	if announced > maxRatio*len(packed) {
		return 0
	}
	return announced
}
