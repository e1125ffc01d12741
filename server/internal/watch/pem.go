package watch

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	beginBlock       = "-----BEGIN "
	certificateBlock = "CERTIFICATE"
)

// ParseCertificates returns the certificates of a PEM file, at least one. Text between them and
// comments are skipped; any other block, and one that is cut off, is an error. Errors hold nothing of
// the content.
func ParseCertificates(content []byte) ([]*x509.Certificate, error) {
	rest := trimLines(content)
	blocks := bytes.Count(rest, []byte(beginBlock))
	if err := checkPEM(content, "certificate"); err != nil {
		return nil, err
	}
	var certificates []*x509.Certificate
	for range blocks {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil:
			return nil, errors.New("a block is cut off or damaged: copy the whole file again")
		case block.Type != certificateBlock:
			return nil, fmt.Errorf("it holds a block that is no certificate: %.40q", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is damaged: copy the whole file again", len(certificates)+1)
		}
		certificates = append(certificates, certificate)
	}
	for range Lines(rest) {
		return nil, errors.New("there is something after the last certificate: leave only certificates and comments")
	}
	return certificates, nil
}

// ParseKeyPair returns a chain of certificates with its private key. Errors say which of the two is
// wrong and hold nothing of the content.
func ParseKeyPair(chain, key []byte) (tls.Certificate, error) {
	if _, err := ParseCertificates(chain); err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	if err := checkPEM(key, "private key"); err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	text := trimLines(key)
	switch {
	case bytes.Contains(text, []byte("ENCRYPTED")):
		return tls.Certificate{}, errors.New("key: it is encrypted: decrypt it, such as with: openssl pkey")
	case !bytes.Contains(text, []byte("PRIVATE KEY-----")):
		return tls.Certificate{}, errors.New("key: it holds no private key: are the two files swapped?")
	}
	pair, err := tls.X509KeyPair(trimLines(chain), text)
	switch {
	case err == nil:
		return pair, nil
	case strings.Contains(err.Error(), "match"):
		return tls.Certificate{}, errors.New("certificate and key: the key belongs to another certificate")
	default:
		return tls.Certificate{}, errors.New("key: it is damaged or of a kind that TLS lacks: copy the whole file again")
	}
}

// trimLines drops what editors and YAML put around lines.
func trimLines(content []byte) []byte {
	var text bytes.Buffer
	for line := range bytes.Lines(WithoutMark(content)) {
		_, _ = text.Write(bytes.TrimSpace(line))
		_ = text.WriteByte('\n')
	}
	return text.Bytes()
}

// checkPEM says why a file that should hold something in PEM does not.
func checkPEM(content []byte, what string) error {
	text := strings.TrimSpace(string(WithoutMark(content)))
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	switch {
	case strings.HasPrefix(text, `"`), strings.HasPrefix(text, "'"):
		return errors.New("it begins with a quote: leave the quotes out, and write line breaks as such")
	case strings.Contains(text, `\n`):
		return errors.New(`its line breaks are written as \n: write them as such`)
	case strings.Contains(text, beginBlock):
		return nil
	case err == nil && bytes.Contains(decoded, []byte(beginBlock)):
		return errors.New("it holds the base64 of a PEM file: decode it once")
	case strings.HasPrefix(text, "0\x82"): // the DER of a long sequence
		return fmt.Errorf("it holds the %s in DER: convert it to PEM, such as with openssl -inform DER", what)
	default:
		return fmt.Errorf("it holds no %s in PEM, which has a line such as %s%s-----",
			what, beginBlock, strings.ToUpper(what))
	}
}
