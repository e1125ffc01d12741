//go:build !windows

package main

func serveSupported() error { return nil }
