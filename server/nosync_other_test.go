//go:build !linux

package main

import "errors"

const canForbidSync = false

func execWithoutSync(_, _ []string) error { return errors.ErrUnsupported }
