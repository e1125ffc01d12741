package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// others is how many calls share the channel of one that sends large metadata.
const others = 1000

// large is what sizes of metadata come to. More than 48 KiB fail alone.
var large = map[string]string{
	"17000": "OK", "20000": "OK", "40000": "OK", "70000": "RESOURCE_EXHAUSTED", "120000": "RESOURCE_EXHAUSTED",
}

// counts are how many calls ended with which code.
type counts map[string]int

// checkMetadata sends large metadata with the language's own library: it fails no call of others,
// and an ID token of 30 KiB proves its user.
func checkMetadata(t *testing.T, binary string, l language) string {
	t.Helper()
	if l.metadata == "" {
		return ""
	}
	directory := t.TempDir()
	policy, token := filepath.Join(directory, "policy.yaml"), filepath.Join(directory, "token")
	keys, idToken := issuer(t)
	if size := len(idToken); size < 30<<10 || size > 32<<10 {
		t.Fatalf("the ID token has %d bytes", size)
	}
	for file, text := range map[string]string{
		token: idToken, filepath.Join(directory, "jwks"): keys,
		policy: "issuers:\n  login: {issuer: 'https://login.example.com', audience: backend, external_id: sub, " +
			"jwks_file: " + filepath.Join(directory, "jwks") + "}\n" +
			"callers: {loopback: {organizations: [default], proof: login}, uid:" + strconv.Itoa(os.Getuid()) + ": {organizations: [default]}}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &sidecar{binary: binary, socket: filepath.Join(socketDirectory(t), "s"), audit: filepath.Join(directory, "audit")}
	s.serve(t, []string{"KUSTOMER_SECRET_KEY=" + secret}, "--policy-file", policy, "--limit-caller", "off")
	program := absolute(t, filepath.Join("testdata", l.metadata))
	command := exec.CommandContext(t.Context(), "bash", "-ec", l.runs+` "$@"`, "-", program, s.loopback, sizes(), strconv.Itoa(others), token)
	command.Dir = filepath.Join(root, "examples", l.name)
	output, err := command.Output()
	var said struct {
		Sizes  map[string]counts
		Others counts
		Proven string
	}
	if err != nil || json.Unmarshal(output, &said) != nil {
		t.Fatalf("%s: %v\n%s", l.metadata, err, output)
	}
	want := map[string]counts{}
	for size, code := range large {
		want[size] = counts{code: others / 20}
	}
	if !reflect.DeepEqual(said.Sizes, want) || !reflect.DeepEqual(said.Others, counts{"OK": others}) || said.Proven != "OK" {
		t.Fatalf("large metadata: %s, want %v and no call of others that fails", output, want)
	}
	return fmt.Sprintf("%d of %d", said.Others["OK"], others)
}

// sizes as a JSON array.
func sizes() string {
	var all []string
	for size := range large {
		all = append(all, size)
	}
	return "[" + strings.Join(all, ",") + "]"
}

// issuer returns the keys of an OpenID provider and a token of it with many groups, for the user
// ada.
func issuer(t *testing.T) (keys, token string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{
		"iss": "https://login.example.com", "aud": "backend", "sub": "ada", "iat": now, "exp": now + 3600,
		"groups": strings.Split(strings.Repeat("0190b5a4-7b3c-7d2e-8f10-2b3c4d5e6f70,", 600), ","),
	})
	if err != nil {
		t.Fatal(err)
	}
	signed := encode([]byte(`{"alg":"ES256","kid":"one"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := s.FillBytes(make([]byte, 32))
	signature = append(r.FillBytes(make([]byte, 32)), signature...)
	keys = fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"one","x":%q,"y":%q}]}`,
		encode(point[1:33]), encode(point[33:]))
	return keys, signed + "." + encode(signature)
}
