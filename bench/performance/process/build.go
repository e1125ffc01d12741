// Package process builds and runs the programs that are measured, and reads from /proc what they
// cost.
package process

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// NoTrace is the tag that the Dockerfile builds the sidecar with: grpc without its request tracing,
// which keeps text/template and with it every exported method in the binary.
const NoTrace = "grpcnotrace"

// Build is how a Go program is made: stripped, as the Dockerfile makes the sidecar.
type Build struct {
	Dir     string // where its module is
	Package string // relative to Dir
	Tags    []string
	Overlay map[string]string // files that stand in for others, both with absolute paths
}

// Into builds the program at the given path.
func (b Build) Into(ctx context.Context, path string) error {
	args := []string{
		"build", "-tags", strings.Join(b.Tags, ","), "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version=bench", "-o", path,
	}
	if b.Overlay != nil {
		text, err := json.Marshal(map[string]any{"Replace": b.Overlay})
		if err != nil {
			return err
		}
		overlay := path + ".overlay.json"
		if err := os.WriteFile(overlay, text, 0o600); err != nil {
			return err
		}
		args = append(args, "-overlay", overlay)
	}
	command := exec.CommandContext(ctx, "go", append(args, b.Package)...)
	command.Dir = b.Dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", b.Package, err, output)
	}
	return nil
}

// Checkout puts the files of a commit below a new directory and returns it.
func Checkout(ctx context.Context, repository, commit, directory string) (string, error) {
	path := filepath.Join(directory, "checkout-"+commit)
	if err := os.Mkdir(path, 0o755); err != nil {
		return "", err
	}
	const script = `git -C "$1" archive "$2" | tar -x -C "$3"`
	command := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", script, "checkout", repository, commit, path)
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("check out %s: %w: %s", commit, err, output)
	}
	return path, nil
}
