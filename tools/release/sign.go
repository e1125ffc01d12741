package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"aead.dev/minisign"
)

const (
	keyFile     = "CHATIDENTITY_RELEASE_KEY_FILE"
	keyPassword = "CHATIDENTITY_RELEASE_KEY_PASSWORD"
)

// signer is where the key is and what decrypts it.
type signer struct{ file, password string }

// takeSigner takes the variables out of the environment: pip runs code that it fetches.
func takeSigner() signer {
	s := signer{file: os.Getenv(keyFile), password: os.Getenv(keyPassword)}
	for _, name := range []string{keyFile, keyPassword} {
		_ = os.Unsetenv(name) // it fails for no such name
	}
	return s
}

// sign writes the checksums of all files, and signs them where there is a key:
// whoever checks the signature and then the checksums has checked everything.
func (r *release) sign(context.Context) error {
	files, err := r.digests()
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, file := range files {
		fmt.Fprintf(&sums, "%s  %s\n", file.digest, file.name)
	}
	path := filepath.Join(r.out, "SHA256SUMS")
	if err := write(path, sums.String()); err != nil {
		return err
	}
	if r.signer.file == "" {
		r.sayf("NOT SIGNED: %s names no key (see docs/release.md)\n", keyFile)
		return nil
	}
	key, err := readKey(r.signer.file, r.signer.password)
	if err != nil {
		return fmt.Errorf("the key of %s cannot be read: %w (its password is in %s)", keyFile, err, keyPassword)
	}
	reader := minisign.NewReader(strings.NewReader(sums.String()))
	if _, err := io.Copy(io.Discard, reader); err != nil {
		return err
	}
	trusted, untrusted := "chatidentity "+r.version+" "+r.commit, "signature of chatidentity "+r.version
	signature := reader.SignWithComments(key, trusted, untrusted)
	return write(path+".minisig", string(signature))
}

func readKey(path, password string) (minisign.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return minisign.PrivateKey{}, err
	}
	if minisign.IsEncrypted(text) {
		return minisign.DecryptKey(password, text)
	}
	var key minisign.PrivateKey
	err = key.UnmarshalText(text)
	return key, err
}

// indented is a JSON text with the white space of encoding/json.
func indented(text []byte) ([]byte, error) {
	var compact, out bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	if err := json.Indent(&out, compact.Bytes(), "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
