package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// packages makes what pip and npm install: the generated code as it is in gen/,
// under this version.
func (r *release) packages(ctx context.Context) error {
	python, typescript := filepath.Join(r.source, "gen", "python"), filepath.Join(r.source, "gen", "typescript")
	for path, from := range map[string]string{
		filepath.Join(python, "pyproject.toml"):   `version = "0.0.0"`,
		filepath.Join(typescript, "package.json"): `"version": "0.0.0"`,
	} {
		if err := replace(path, from, strings.Replace(from, "0.0.0", r.version, 1)); err != nil {
			return err
		}
	}
	if _, err := r.run(ctx, python, nil, "python3", "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check",
		"--no-deps", "--no-cache-dir", "--wheel-dir", r.out, "."); err != nil {
		return err
	}
	_, err := r.run(ctx, typescript, nil, "npm", "pack", "--silent", "--pack-destination", r.out)
	return err
}

// replace replaces a text that must stand in the file.
func replace(path, from, to string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed := strings.Replace(string(content), from, to, 1)
	if changed == string(content) && from != to {
		return &os.PathError{Op: "replace " + from, Path: path, Err: os.ErrNotExist}
	}
	return write(path, changed)
}
