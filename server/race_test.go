//go:build race

package main

// The program is built with the race detector when its tests are.
func init() { buildFlags = []string{"-race"} }
