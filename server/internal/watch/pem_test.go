package watch_test

import (
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// A PEM file is read as people and tools write it; what is wrong with another is told in our words.
func TestParseCertificates(t *testing.T) {
	t.Parallel()
	one, other := string(callertest.NewCA(t).PEM), string(callertest.NewCA(t).PEM)
	key := string(callertest.NewCA(t).Server(t).Key)
	lines := func(text, end string) string { return strings.ReplaceAll(text, "\n", end) }
	block, _ := pem.Decode([]byte(one))
	for name, test := range map[string]struct {
		text  string
		count int
		says  string // empty: good
	}{
		"one":                    {one, 1, ""},
		"two":                    {one + other, 2, ""},
		"Windows line ends":      {lines(one+other, "\r\n"), 2, ""},
		"a byte-order mark":      {"\ufeff" + one, 1, ""},
		"a mark, and CRLF":       {"\ufeff" + lines(one, "\r\n"), 1, ""},
		"comments":               {"# one\n" + one + "\n# other\n" + other + "# end\n", 2, ""},
		"the text of openssl":    {"Certificate:\n    Data:\n        Version: 3\n" + one, 1, ""},
		"indented":               {"  " + lines(one, "\n  "), 1, ""},
		"no newline at the end":  {strings.TrimSpace(one), 1, ""},
		"empty lines":            {"\n\n" + one + "\n\n", 1, ""},
		"nothing":                {"", 0, "no certificate in PEM"},
		"words":                  {"canary", 0, "no certificate in PEM"},
		"in quotes":              {`"` + one + `"`, 0, "begins with a quote"},
		"in single quotes":       {`'` + one + `'`, 0, "begins with a quote"},
		"line breaks as letters": {lines(one, `\n`), 0, `written as \n`},
		"out of JSON":            {`"` + lines(one, `\n`) + `"`, 0, "begins with a quote"},
		"base64 of it":           {base64.StdEncoding.EncodeToString([]byte(one)), 0, "decode it once"},
		"DER":                    {string(block.Bytes), 0, "DER"},
		"a key":                  {key, 0, "no certificate"},
		"a key behind it":        {one + key, 0, "no certificate"},
		"cut off":                {one[:len(one)-40], 0, "cut off"},
		"cut off behind another": {other + one[:len(one)-40], 0, "cut off"},
		"damaged":                {strings.Replace(one, "M", "!", 1), 0, "cut off or damaged"},
		"damaged before another": {strings.Replace(one, "M", "!", 1) + other, 0, "cut off or damaged"},
		"not a certificate":      {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("canary")})), 0, "certificate 1 is damaged"},
		"something behind it":    {one + "canary", 0, "after the last certificate"},
	} {
		got, err := watch.ParseCertificates([]byte(test.text))
		if test.says == "" {
			if err != nil || len(got) != test.count {
				t.Errorf("%s: %d certificates, error %v", name, len(got), err)
			}
			continue
		}
		assertOurWords(t, name, err, test.says)
	}
}

func TestParseKeyPair(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	pair, other := ca.Server(t), ca.Server(t)
	chain, key := string(pair.Certificate), string(pair.Key)
	for name, test := range map[string]struct {
		chain, key string
		says       string // empty: good
	}{
		"a pair":            {chain, key, ""},
		"with CRLF":         {strings.ReplaceAll(chain, "\n", "\r\n"), strings.ReplaceAll(key, "\n", "\r\n"), ""},
		"with a mark":       {"\ufeff" + chain, "\ufeff" + key, ""},
		"with comments":     {"# mine\n" + chain, "# mine\n" + key, ""},
		"of another":        {chain, string(other.Key), "belongs to another certificate"},
		"swapped":           {key, chain, "certificate: it holds a block that is no certificate"},
		"twice the chain":   {chain, chain, "key: it holds no private key"},
		"a key in quotes":   {chain, `"` + key + `"`, "key: it begins with a quote"},
		"a key's base64":    {chain, base64.StdEncoding.EncodeToString([]byte(key)), "key: it holds the base64"},
		"a key on one line": {chain, strings.ReplaceAll(key, "\n", `\n`), `key: its line breaks are written as \n`},
		"a damaged key":     {chain, strings.Replace(key, "M", "!", 1), "key: it is damaged"},
		"no key":            {chain, "canary", "key: it holds no private key in PEM"},
		"an encrypted key":  {chain, strings.ReplaceAll(key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "key: it is encrypted"},
		"no chain":          {"canary", key, "certificate: it holds no certificate in PEM"},
	} {
		_, err := watch.ParseKeyPair([]byte(test.chain), []byte(test.key))
		if test.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		assertOurWords(t, name, err, test.says)
	}
}

func assertOurWords(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want %q", name, err, want)
		return
	}
	for _, word := range []string{"tls:", "x509:", "asn1", "failed to", "canary"} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("%s: %q has %q", name, err, word)
		}
	}
}
