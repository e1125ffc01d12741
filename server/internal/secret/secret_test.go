package secret_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// The fingerprint is in records that are kept for years: it must not change. PBKDF2-HMAC-SHA-256,
// 10,000 iterations, salt "chatidentity secret id v1", 6 bytes; the expectation was made with
// Python's hashlib.
func TestFingerprintIsStable(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"your-256-bit-secret": "13da19296c72",
		"é\u2028":             "e8626ec46401",
	} {
		if got, err := secret.New(sensitive.New(value)); err != nil || got.ID != want || got.Value.Reveal() != value {
			t.Errorf("New() = %v, %v; want ID %s", got, err, want)
		}
	}
}

func TestNewRefusesWhatIsNoSecret(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		value string
		want  error
	}{
		{"", secret.ErrEmpty},
		{"x", nil},
		{strings.Repeat("x", secret.MaxSize), nil},
		{strings.Repeat("x", secret.MaxSize+1), secret.ErrTooLarge},
	} {
		if _, err := secret.New(sensitive.New(test.value)); !errors.Is(err, test.want) {
			t.Errorf("New() of %d bytes: %v, want %v", len(test.value), err, test.want)
		}
	}
}

func TestDoubts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 32)
	for _, test := range []struct {
		value string
		says  []string
	}{
		{long, nil},
		{strings.Repeat("é", 16), nil}, // bytes count, not characters
		{long[1:], []string{"fewer than 32 bytes"}},
		{long + " ", []string{"white space"}},
		{" " + long, []string{"white space"}},
		{long + "\n", []string{"white space", "control characters"}},
		{long + "\x00", []string{"control characters"}},
		{long + "\xff", []string{"not UTF-8"}},
		{"\ufeff" + long, []string{"byte order mark"}},
		{`{"data":{"attributes":{"secret":"canary"}}}`, []string{"whole answer"}},
	} {
		doubts := secret.Doubts(sensitive.New(test.value))
		if len(doubts) != len(test.says) {
			t.Errorf("Doubts(%q) = %q, want %d", test.value, doubts, len(test.says))
			continue
		}
		for index, says := range test.says {
			if !strings.Contains(doubts[index], says) || strings.Contains(doubts[index], "canary") {
				t.Errorf("Doubts(%q)[%d] = %q, want %q", test.value, index, doubts[index], says)
			}
		}
	}
}

func BenchmarkNew(b *testing.B) {
	value := sensitive.New(firstSecret)
	for b.Loop() {
		if _, err := secret.New(value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCurrent(b *testing.B) {
	store, err := secret.Open(secret.Options{}, secret.Source{Value: sensitive.New(firstSecret)})
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := store.Current(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
