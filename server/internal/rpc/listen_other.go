//go:build !unix

package rpc

import (
	"context"
	"errors"
	"os"
)

func lockDirectory(context.Context, string) (*os.File, error) {
	return nil, errors.New("unix sockets are served on unix systems alone")
}

func isConnectionRefused(error) bool { return false }
