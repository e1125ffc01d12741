//go:build with_cobra

package main

import (
	"log"

	"github.com/spf13/cobra"
)

func init() { //nolint:gochecknoinits // a build tag adds it
	modules = append(modules, func() {
		command := &cobra.Command{Use: "bare", RunE: func(*cobra.Command, []string) error { return nil }}
		command.SetArgs(nil)
		if err := command.Execute(); err != nil {
			log.Fatal(err)
		}
	})
}
