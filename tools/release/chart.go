package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"regexp"
)

var chartVersion = regexp.MustCompile(`(?m)^version: \S+$`)

// chart packs the Helm chart under this version, as `helm package` does, whose archives hold the
// time of day.
func (r *release) chart(context.Context) error {
	folder := filepath.Join(r.source, "deploy", "helm", "chatidentity")
	about := filepath.Join(folder, "Chart.yaml")
	text, err := os.ReadFile(about)
	if err != nil {
		return err
	}
	if !chartVersion.Match(text) {
		return &os.PathError{Op: "find the version", Path: about, Err: os.ErrNotExist}
	}
	if err := write(about, chartVersion.ReplaceAllString(string(text), "version: "+r.version)); err != nil {
		return err
	}
	content, err := r.tarOf(folder, "chatidentity/")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	if _, err := packed.Write(content); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return write(r.file("helm.tgz"), out.String())
}
