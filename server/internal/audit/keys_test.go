package audit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// testKey is the same key for the same name.
func testKey(tb testing.TB, name string) *Key {
	tb.Helper()
	k, err := NewKey(name, bytes.Repeat([]byte(name), 32))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestPseudonyms(t *testing.T) {
	t.Parallel()
	k1, k2 := testKey(t, "k1"), testKey(t, "k2")
	seen := map[string]string{}
	for name, p := range map[string]string{
		"email":        k1.Pseudonym(KindEmail, "a@example.com"),
		"other email":  k1.Pseudonym(KindEmail, "b@example.com"),
		"other kind":   k1.Pseudonym(KindExternalID, "a@example.com"),
		"other key":    k2.Pseudonym(KindEmail, "a@example.com"),
		"empty":        k1.Pseudonym(KindEmail, ""),
		"non-ASCII":    k1.Pseudonym(KindEmail, "ä@example.com"),
		"non-ASCII up": k1.Pseudonym(KindEmail, "Ä@example.com"),
	} {
		if len(p) != 32 {
			t.Errorf("%s: %q", name, p)
		}
		if other, twice := seen[p]; twice {
			t.Errorf("%s and %s have the same pseudonym", name, other)
		}
		seen[p] = name
	}
	if k1.Pseudonym(KindEmail, "AZ@Example.COM") != k1.Pseudonym(KindEmail, "az@example.com") {
		t.Error("ASCII case of an email is not folded")
	}
	if k1.Pseudonym(KindEmail, "@[") == k1.Pseudonym(KindEmail, "`{") {
		t.Error("characters beside the letters are folded")
	}
}

func TestEphemeralKeysAreRandomAndSaySo(t *testing.T) {
	t.Parallel()
	first, err := NewEphemeralKey()
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewEphemeralKey()
	if err != nil || !strings.HasPrefix(first.ID(), "ephemeral-") || first.ID() == second.ID() {
		t.Errorf("ephemeral keys %v and %v, error %v", first, second, err)
	}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("A", 43) + "="
	other := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 40))
	keys, err := ParseKeys([]byte("# keys\n2026-q4:" + good + "\n\n  " + strings.TrimRight(other, "=") + "  \r\n"))
	if err != nil || len(keys) != 2 || keys[0].Name() != "2026-q4" || keys[1].Name() != "" || keys[0].ID() == keys[1].ID() {
		t.Fatalf("ParseKeys = %v, %v", keys, err)
	}
	got := fmt.Sprintf("%v %+v %#v %s %x", keys[0], keys[0], keys[0], keys[0], keys[0])
	if strings.TrimSpace(strings.ReplaceAll(got, keys[0].ID(), "")) != "" {
		t.Errorf("a key prints as %s", got)
	}
	for _, file := range []string{ // each with the same two keys
		good + "\n" + other + "\n",
		"\ufeff" + good + "\n" + other,
		good + "\r\n" + other + "\r\n",
		"# one\n" + good + "\n\n  # another\n" + other + "\n# end",
		"\ufeff# one\r\n" + good + "\r\n\r\n\t" + other + " \r\n",
	} {
		if keys, err := ParseKeys([]byte(file)); err != nil || len(keys) != 2 {
			t.Errorf("ParseKeys(%q) = %v, %v", file, keys, err)
		}
	}
	for file, want := range map[string]string{
		"":                            "no key in it",
		"# nothing":                   "no key in it",
		"short:" + good[:20] + "":     "line 1: the key has 15 bytes",
		good + "\n!secret-not-base64": "line 2: not base64",
		"a b:" + good:                 "line 1: a key's name",
		good + "\nagain:" + good:      "line 2: the same key as on line 1",
	} {
		_, err := ParseKeys([]byte(file))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseKeys(%q) = %v, want %q", file, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "AAAA") || strings.Contains(err.Error(), "secret")) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add("name:" + strings.Repeat("A", 43) + "=\n")
	f.Add(":\n::\n=")
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := ParseKeys([]byte(s))
		if (err == nil) == (len(keys) == 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			if len(k.ID()) != 16 || len(k.Name()) > 64 {
				t.Fatalf("key %q of name %q", k.ID(), k.Name())
			}
		}
	})
}
