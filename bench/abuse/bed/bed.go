package bed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Who is who. Without root everybody is the user that we are, and only what
// needs no other user can be run.
const (
	sidecarUID  = 65532 // the manifest's
	OtherUID    = 2001  // listed
	StrangerUID = 3001  // not listed, nor are the IDs above it
)

// Tokens of callers.
const (
	goodToken  = "good-0123456789-0123456789"
	otherToken = "other-0123456789-0123456789"
)

// Bed holds what all sidecars of a run share.
type Bed struct {
	work      string
	program   string
	authority *authority
	good      Pair // certificates of callers
	other     Pair
	started   int
}

// IsRoot reports whether others than our own user can take part.
func IsRoot() bool { return os.Getuid() == 0 }

// New builds the program from the checkout at root and makes its files.
func New(root string) (*Bed, error) {
	work, err := os.MkdirTemp("", "abuse-*")
	if err != nil {
		return nil, err
	}
	b := &Bed{work: work, program: filepath.Join(work, "chatidentity")}
	if err := b.prepare(root); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close removes the files.
func (b *Bed) Close() { _ = os.RemoveAll(b.work) }

func (b *Bed) prepare(root string) error {
	if err := os.Chmod(b.work, 0o755); err != nil { // other users find the socket there
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", // as the image's
		"-o", b.program, "./server")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the sidecar: %w: %s", err, text)
	}
	syscall.Sync() // what is not written yet cannot be forgotten: see forget
	var err error
	if b.authority, err = newAuthority(); err != nil {
		return err
	}
	server, err := b.authority.server()
	if err != nil {
		return err
	}
	if b.good, err = b.authority.client("good"); err != nil {
		return err
	}
	if b.other, err = b.authority.client("other"); err != nil {
		return err
	}
	tokens := "good sha256:" + digest(goodToken) + "\nother sha256:" + digest(otherToken) + "\n"
	for name, text := range map[string][]byte{
		"secret": []byte("abuse-secret-0123456789-0123456789"), "tokens": []byte(tokens),
		"ca.crt": b.authority.pem, "tls.crt": server.Certificate, "tls.key": server.Key,
	} {
		if err := b.write(name, text); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file that the sidecar alone can read.
func (b *Bed) write(name string, text []byte) error {
	path := b.path(name)
	if err := os.WriteFile(path, text, 0o400); err != nil {
		return err
	}
	return b.give(path)
}

// give makes the sidecar's user the owner.
func (b *Bed) give(path string) error {
	if !IsRoot() {
		return nil
	}
	return os.Chown(path, sidecarUID, sidecarUID)
}

func (b *Bed) path(name string) string { return filepath.Join(b.work, name) }

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
