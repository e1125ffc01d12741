package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// certificates is the one file of the image beside the program.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// build builds as the Dockerfile does.
func build(ctx context.Context, source, binary string) error {
	command := exec.CommandContext(ctx, "go", "build", "-tags", "grpcnotrace", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version=footprint", "-o", binary, source)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", source, err, said)
	}
	return nil
}

// sidecarCommand runs the sidecar with its defaults but for the limits of
// callers, which would keep the load away.
func sidecarCommand(binary, directory string) []string {
	return append(limitedCommand(binary, directory), "--limit-caller=off", "--limit-customer=off")
}

// limitedCommand runs the sidecar with its defaults. The audit goes to standard
// output, as in the manifests.
func limitedCommand(binary, directory string) []string {
	return []string{
		binary, "serve", "--secret-file=" + filepath.Join(directory, "secret"), "--identifier-policy=external-id",
		"--admin-listen=127.0.0.1:0",
	}
}

func bareCommand(binary, _ string) []string { return []string{binary} }

// imageSize returns the size of an image's compressed layer with the program and
// the certificates.
func imageSize(binary string) (int, error) {
	var compressed bytes.Buffer
	zip := gzip.NewWriter(&compressed)
	archive := tar.NewWriter(zip)
	for _, path := range []string{binary, certificates} {
		content, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		header := &tar.Header{Name: filepath.Base(path), Mode: 0o755, Size: int64(len(content))}
		if err := archive.WriteHeader(header); err != nil {
			return 0, err
		}
		if _, err := archive.Write(content); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return 0, err
	}
	return compressed.Len(), nil
}
