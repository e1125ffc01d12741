package main

import "github.com/chatidentity/chatidentity/server/internal/config"

// serveSupported refuses to serve: callers are not told apart here, memory and files are not kept
// from other users, and there is no SIGHUP.
func serveSupported() error {
	return config.Usage("serve is not supported on Windows: run it on Linux, and try it out here with dev")
}
