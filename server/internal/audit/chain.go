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

// mac is the link from one record to the next.
type mac [sha256.Size]byte

// Head is a place in a chain: a record's number and its mac. As the mac covers
// everything before it, a head that is kept outside the file pins all of that.
type Head struct {
	Seq uint64
	MAC mac
}

// String is SEQ:MAC, as --head and --from-head take it.
func (h Head) String() string {
	return strconv.FormatUint(h.Seq, 10) + ":" + hex.EncodeToString(h.MAC[:])
}

// ParseHead reads what Head.String writes.
func ParseHead(s string) (Head, error) {
	var h Head
	seq, sum, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || len(sum) != macChars {
		return Head{}, fmt.Errorf("%q is not a head: want SEQ:MAC, the mac as %d hex digits", s, macChars)
	}
	if _, err := hex.Decode(h.MAC[:], []byte(sum)); err != nil {
		return Head{}, fmt.Errorf("%q is not a head: its mac is not hex", s)
	}
	h.Seq = n
	return h, nil
}

// chain numbers and links records. A line's mac is HMAC-SHA256, under the mac
// key derived from the current audit key, over the mac of the line before (32
// bytes; zeros before the first) and this line from its "{" up to, not
// including, `,"mac":`. What follows is fixed, so each byte of a line counts.
type chain struct {
	head  Head
	keyID string
	hash  hash.Hash
	count uint64 // records sealed by this process
}

func newChain(k *Key, from Head) *chain {
	return &chain{head: from, keyID: k.id, hash: hmac.New(sha256.New, k.mac[:])}
}

// seal appends the finished line of a body to b and moves the head to it.
// dropped is how many records were lost before this one.
func (c *chain) seal(b, body []byte, dropped uint64) []byte {
	start := len(b)
	c.head.Seq++
	c.count++
	b = append(b, recordStart...)
	b = strconv.AppendUint(b, c.head.Seq, 10)
	b = append(b, body...)
	if dropped > 0 {
		b = append(b, `,"dropped":`...)
		b = strconv.AppendUint(b, dropped, 10)
	}
	b = append(b, `,"key_id":"`...)
	b = append(b, c.keyID...)
	b = append(b, '"')
	c.head.MAC = link(c.hash, c.head.MAC, b[start:])
	b = append(b, macKey...)
	b = hex.AppendEncode(b, c.head.MAC[:])
	return append(b, macTail...)
}

// link is the mac of the covered part of a line that follows prev.
func link(h hash.Hash, prev mac, covered []byte) mac {
	h.Reset()
	_, _ = h.Write(prev[:])
	_, _ = h.Write(covered)
	var sum mac
	h.Sum(sum[:0])
	return sum
}
