package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

const (
	macKey   = `,"mac":"`
	macTail  = `"}` + "\n"
	macChars = 2 * sha256.Size
)

// MAC is the link from one record to the next.
type MAC [sha256.Size]byte

// Head is a place in a chain: a record's number and its mac. The mac covers everything before it,
// so a head kept outside the file pins all of that.
type Head struct {
	Seq uint64
	MAC MAC
}

// String returns the form that ParseHead reads: SEQ:MAC.
func (h Head) String() string {
	return strconv.FormatUint(h.Seq, 10) + ":" + hex.EncodeToString(h.MAC[:])
}

// ParseHead reads what Head.String writes.
func ParseHead(s string) (Head, error) {
	var h Head
	seq, sum, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || len(sum) != macChars {
		return Head{}, fmt.Errorf("%q is not a head: want SEQ:MAC, the mac as %d hex digits, "+
			"such as a head in the program log",
			s, macChars)
	}
	if _, err := hex.Decode(h.MAC[:], []byte(sum)); err != nil {
		return Head{}, fmt.Errorf("%q is not a head: its mac is not hex", s)
	}
	h.Seq = n
	return h, nil
}

// Chain numbers and links records. The mac of a line is HMAC-SHA256, under a key derived from the
// audit key, over the mac of the line before (32 bytes; zeros before the first) and this line from
// its "{" up to, not including, `,"mac":`. What follows is fixed, so the chain covers every byte of
// a line. It is not safe for concurrent use.
type Chain struct {
	head   Head
	keyID  string
	linker *Linker
}

// NewChain returns a chain that goes on from a head under a key.
func NewChain(k *Key, from Head) *Chain {
	return &Chain{head: from, keyID: k.id, linker: NewLinker(k)}
}

// Head returns the place of the last record.
func (c *Chain) Head() Head { return c.head }

// Seal appends the finished line of a body (see AppendBody) to b and moves the head to it. dropped
// is how many records were lost before this one.
func (c *Chain) Seal(b, body []byte, dropped uint64) []byte {
	start := len(b)
	c.head.Seq++
	b = append(b, RecordStart...)
	b = strconv.AppendUint(b, c.head.Seq, 10)
	b = append(b, body...)
	if dropped > 0 {
		b = append(b, `,"dropped":`...)
		b = strconv.AppendUint(b, dropped, 10)
	}
	b = append(b, `,"key_id":"`...)
	b = append(b, c.keyID...)
	b = append(b, '"')
	c.head.MAC = c.linker.link(c.head.MAC, b[start:])
	b = append(b, macKey...)
	b = hex.AppendEncode(b, c.head.MAC[:])
	return append(b, macTail...)
}

// Linker computes macs under one key. It is not safe for concurrent use.
type Linker struct {
	hash hash.Hash
	prev MAC // what is hashed has to be on the heap
	sum  MAC
}

// NewLinker returns the linker of a key.
func NewLinker(k *Key) *Linker { return &Linker{hash: hmac.New(sha256.New, k.mac[:])} }

// link returns the mac of a line that follows prev and whose covered part is given.
func (l *Linker) link(prev MAC, covered []byte) MAC {
	l.prev = prev
	l.hash.Reset()
	_, _ = l.hash.Write(l.prev[:])
	_, _ = l.hash.Write(covered)
	l.hash.Sum(l.sum[:0])
	return l.sum
}
