package rpc

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
)

func TestUnpack(t *testing.T) {
	t.Parallel()
	most := bytes.Repeat([]byte{7}, maxMessageBytes)
	whole := packed(t, []byte("message"))
	hidden := packed(t, make([]byte, 1<<20))
	copy(hidden[len(hidden)-4:], []byte{1, 0, 0, 0})
	foreign := bytes.Clone(whole)
	foreign[len(foreign)-8]++ // its checksum
	for name, test := range map[string]struct {
		packed []byte
		size   int // below 0: it cannot be unpacked
	}{
		"nothing in it":           {packed(t, nil), 0},
		"a message":               {whole, 7},
		"two streams":             {append(bytes.Clone(whole), whole...), 14},
		"as much as there may be": {packed(t, most), maxMessageBytes},
		"a byte more":             {packed(t, append(most, 7)), len(tooLarge)},
		"two that are too much":   {append(packed(t, most), whole...), len(tooLarge)},
		"16 MiB":                  {packed(t, make([]byte, 16<<20)), len(tooLarge)},
		"1 MiB that says 1 byte":  {hidden, len(tooLarge)},
		"empty":                   {nil, -1},
		"none":                    {[]byte("message, 1\x00\x00"), -1},
		"cut":                     {whole[:len(whole)-5], -1},
		"another checksum":        {foreign, -1},
		"something behind it":     {append(bytes.Clone(whole), 1, 2, 0, 0), -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var u unpacker
			for range 2 { // with fresh memory and with used
				got, err := u.Do(bytes.NewReader(test.packed))
				if (err != nil) != (test.size < 0) || err == nil && len(got) != test.size {
					t.Errorf("%d bytes, %v; want %d", len(got), err, test.size)
				}
			}
		})
	}
}

// A request's bytes are its own: the memory serves the next one meanwhile.
func TestUnpackedMessagesShareNothing(t *testing.T) {
	t.Parallel()
	var u unpacker
	first, err := u.Do(bytes.NewReader(packed(t, []byte("first"))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Do(bytes.NewReader(packed(t, []byte("other")))); err != nil || string(first) != "first" {
		t.Errorf("the first message is %q now, %v", first, err)
	}
}

func packed(t *testing.T, message []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.Copy(w, bytes.NewReader(message)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
