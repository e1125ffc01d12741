package node

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Image is a container image made of files alone.
type Image struct {
	Name       string            // with its tag
	Files      map[string]string // the path in the image: the file on this machine
	Entrypoint []string
	Command    []string
	User       string
	Env        []string
}

// write writes the image as `docker save` would.
func (i Image) write(path string) error {
	layer := path + ".layer"
	defer os.Remove(layer) //nolint:errcheck // it may be gone
	digest, err := i.writeLayer(layer)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": i.Entrypoint, "Cmd": i.Command, "User": i.User, "Env": i.Env},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{i.Name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	archive, err := os.Create(path)
	if err != nil {
		return err
	}
	defer archive.Close() //nolint:errcheck // what is not written fails below
	out := tar.NewWriter(archive)
	for name, content := range map[string][]byte{"config.json": config, "manifest.json": manifest} {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := out.Write(content); err != nil {
			return err
		}
	}
	if err := addFile(out, "layer.tar", layer, 0o644); err != nil {
		return err
	}
	return out.Close()
}

// writeLayer writes the one layer and returns its digest.
func (i Image) writeLayer(path string) (string, error) {
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // it was only read
	hash := sha256.New()
	out := tar.NewWriter(io.MultiWriter(file, hash))
	made := map[string]bool{}
	for _, place := range slices.Sorted(maps.Keys(i.Files)) {
		name := strings.TrimPrefix(place, "/")
		if err := addFolders(out, filepath.Dir(name), made); err != nil {
			return "", err
		}
		if err := addFile(out, name, i.Files[place], 0o755); err != nil {
			return "", err
		}
	}
	if err := out.Close(); err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", hash.Sum(nil)), nil
}

func addFolders(out *tar.Writer, folder string, made map[string]bool) error {
	if folder == "." || made[folder] {
		return nil
	}
	made[folder] = true
	if err := addFolders(out, filepath.Dir(folder), made); err != nil {
		return err
	}
	return out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755})
}

func addFile(out *tar.Writer, name, path string, mode int64) error {
	file, err := os.Open(path) // through links: a library's name is often one
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	return err
}
