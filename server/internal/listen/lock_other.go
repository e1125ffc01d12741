//go:build !unix

package listen

import (
	"context"
	"errors"
	"os"
)

func lockDirectory(context.Context, string) (*os.File, error) {
	return nil, errors.New("unix sockets are served only on unix systems")
}
