package secret_test

import (
	"encoding/base64"
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
		{`{"attributes":{"secret":"canary","more":"xxxxxxxx"}}`, []string{"whole answer"}},
		{`"` + long + `"`, []string{"quote"}},
		{`'` + long + `'`, []string{"quote"}},
		{"`" + long + "`", []string{"quote"}},
		{long + `",`, []string{"quote"}},
		{`"` + long, []string{"quote"}},
		{"KUSTOMER_SECRET_KEY=" + long, []string{"a name and a value"}},
		{"export SECRET=" + long, []string{"a name and a value"}},
		{"-e SECRET=" + long, []string{"a name and a value"}},
		{"SECRET = " + long, []string{"a name and a value"}},
		{"Secret_Key=" + long, []string{"a name and a value"}},
		{"secret: " + long, []string{"a name and a value"}},
		{`SECRET="` + long + `"`, []string{"quote"}},
		{`"secret": "` + long + `",`, []string{"line of JSON"}},
		{`"secret":"` + long + `"`, []string{"line of JSON"}},
		{`  "secret": "` + long + `",`, []string{"white space", "line of JSON"}},
		{"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJjYW5hcnkiOjF9.c2lnbmF0dXJl", []string{"it is a JWT"}},
		{"eyJhbGciOiJub25lIn0.eyJjYW5hcnkiOjF9.", []string{"it is a JWT"}},
		{"your-256-bit-secret", []string{"fewer than 32", "placeholder"}},
		{"a-string-secret-at-least-256-bits-long", []string{"placeholder"}},
		{"changeme", []string{"fewer than 32", "placeholder"}},
		{"${KUSTOMER_SECRET_KEY_OF_PRODUCTION}", []string{"placeholder"}},
		{"{{ .Values.kustomer.secretKey.value }}", []string{"placeholder"}},
		{"$(KUSTOMER_SECRET_KEY_OF_PRODUCTION)", []string{"placeholder"}},
		{"<the signing secret of your account>", []string{"placeholder"}},
		{long + "\n\n", []string{"white space", "control characters"}}, // one of three in its file
		{base64.StdEncoding.EncodeToString([]byte("canary-0123456789-0123456789")), []string{"base64 of a text"}},
		{base64.StdEncoding.EncodeToString([]byte("canary-0123456789-0123456789\n")), []string{"base64 of a text"}},
		{base64.RawStdEncoding.EncodeToString([]byte("canary-0123456789-0123456789")), []string{"base64 of a text"}},
		{base64.URLEncoding.EncodeToString([]byte("canary~~~???0123456789-01234")), []string{"base64 of a text"}},

		// What a secret may look like gives no doubt.
		{"0123456789abcdef0123456789abcdef0123456789abcdef", nil},
		{"2f1c9d3e-8a7b-4c6d-9e5f-1a2b3c4d5e6f", nil},
		{base64.StdEncoding.EncodeToString([]byte("\x80random\xff\xfe\x00\x01bytes\x90of a generator.")), nil},
		{"abcdefghijklmnopqrstuvwxyz_ABCDEF==", nil},
		{"p4ss=word:with{marks}and,more\"of'them.", nil},
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

// An API key that was copied with something around it is as doubtful.
func TestKeyDoubts(t *testing.T) {
	t.Parallel()
	const key = "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.c2lnbmF0dXJl"
	for text, says := range map[string]string{
		key:                       "",
		"canary-api-key":          "",
		`"` + key + `"`:           "quote",
		"'" + key + "'":           "quote",
		key + ",":                 "comma",
		"KUSTOMER_API_KEY=" + key: "a name and a value",
		"Authorization: " + key:   "a name and a value",
		`"token": "` + key + `",`: "line of JSON",
		`{"token":"` + key + `"}`: "brace",
		"your-api-key":            "placeholder",
		"<API key>":               "placeholder",
		base64.StdEncoding.EncodeToString([]byte(key)): "base64 of a text",
	} {
		doubts := secret.KeyDoubts(sensitive.New(text))
		if len(doubts) != min(len(says), 1) || says != "" && !strings.Contains(doubts[0], says) {
			t.Errorf("KeyDoubts(%q) = %q, want %q", text, doubts, says)
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
