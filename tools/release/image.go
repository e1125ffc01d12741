package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	program      = "usr/local/bin/chatidentity"
	certificates = "etc/ssl/certs/ca-certificates.crt"
)

// image writes one OCI archive with an image for each Linux. Each is what the
// Dockerfile makes, but with Mozilla's roots as Go's own module pins them,
// because those of a base image change by the day.
func (r *release) image(context.Context) error {
	index := v1.ImageIndex(empty.Index)
	index = mutate.IndexMediaType(index, types.OCIImageIndex)
	for _, p := range r.platforms {
		if p.os != linux {
			continue
		}
		image, err := r.imageOf(p)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: p.os, Architecture: p.architecture},
		}})
	}
	folder := filepath.Join(filepath.Dir(r.source), "image")
	if _, err := layout.Write(folder, index); err != nil {
		return err
	}
	content, err := r.tarOf(folder, "")
	if err != nil {
		return err
	}
	return write(r.file("image.oci.tar"), string(content))
}

// imageOf makes the image of one platform: one layer, and the configuration that
// the last stage of the Dockerfile has.
func (r *release) imageOf(p platform) (v1.Image, error) {
	content, err := r.layer(p)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{
		Layer: layer, History: v1.History{Created: v1.Time{Time: r.time}, CreatedBy: "make release"},
	}); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.os, p.architecture, v1.Time{Time: r.time}
	config.Config = v1.Config{
		User: "65532:65532", Env: []string{"PATH=/usr/local/bin"},
		Entrypoint: []string{"/" + program}, Cmd: []string{"serve"},
		Labels: map[string]string{
			"org.opencontainers.image.title": "chatidentity",
			"org.opencontainers.image.description": "gRPC identity sidecar: " +
				"signs the tokens with which a backend's users log in to Kustomer chat",
			"org.opencontainers.image.source":   "https://github.com/chatidentity/chatidentity",
			"org.opencontainers.image.version":  r.version,
			"org.opencontainers.image.revision": r.commit,
		},
	}
	return mutate.ConfigFile(image, config)
}

// layer is a tar of the program, the certificates and a /tmp.
func (r *release) layer(p platform) ([]byte, error) {
	binary, err := os.ReadFile(r.file(p.name()))
	if err != nil {
		return nil, err
	}
	var roots bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file of certificates cannot say what a root is not trusted for
		}
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, entry := range []struct {
		name    string
		mode    int64
		content []byte
	}{
		{"etc/", 0o755, nil},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{certificates, 0o644, roots.Bytes()},
		{"tmp/", 0o1777, nil},
		{"usr/", 0o755, nil},
		{"usr/local/", 0o755, nil},
		{"usr/local/bin/", 0o755, nil},
		{program, 0o755, binary},
	} {
		if err := add(archive, entry.name, entry.mode, r.time, entry.content); err != nil {
			return nil, err
		}
	}
	err = archive.Close()
	return out.Bytes(), err
}

// add adds a file, or a folder where the name ends with a slash, of root's.
func add(archive *tar.Writer, name string, mode int64, when time.Time, content []byte) error {
	header := &tar.Header{
		Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content)), ModTime: when, Format: tar.FormatUSTAR,
	}
	if name[len(name)-1] == '/' {
		header.Typeflag = tar.TypeDir
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

// tarOf returns a tar of the files of a folder, in the order of their names, each below the prefix.
func (r *release) tarOf(folder, prefix string) ([]byte, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		return add(archive, prefix+name, 0o644, r.time, content)
	})
	if err != nil {
		return nil, err
	}
	err = archive.Close()
	return out.Bytes(), err
}
