//go:build !linux

package process

import "errors"

// Harden returns an error: only Linux can do it.
func Harden() error {
	return errors.New("only on Linux is memory protected from other processes")
}
