//go:build with_yaml

package main

import (
	"log"

	"go.yaml.in/yaml/v4"
)

func init() { //nolint:gochecknoinits // a build tag adds it
	modules = append(modules, func() {
		var document map[string]any
		if err := yaml.Unmarshal([]byte("a: b"), &document); err != nil {
			log.Fatal(err)
		}
	})
}
