package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// maxPage bounds what is read of a page of the admin listener, maxAnswer that and what comes before.
const maxPage, maxAnswer = 1 << 20, maxPage + 64<<10

var (
	errNotHTTP = errors.New("what answers there speaks no HTTP/1: it may be --listen, where calls go; " +
		"give the address of --admin-listen")
	errSilent = errors.New("connected, but no whole answer in time: the sidecar hangs, " +
		"or what listens there is no sidecar")
)

// getAdmin returns the status and the body of a page of the admin listener of a running sidecar. No
// proxy is asked.
func getAdmin(ctx context.Context, at config.Address, path string) (int, []byte, error) {
	conn, err := new(net.Dialer).DialContext(ctx, at.Network, at.Address)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: is the sidecar running, with --admin-listen %v?", err, at)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("--admin-address %v: %w", at, err)
	}
	defer conn.Close()                                          //nolint:errcheck // nothing more is expected
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // a read or write that waits ends
	status, body, err := get(ctx, conn, path)
	switch {
	case err == nil:
		return status, body, nil
	case errors.Is(err, errNotHTTP):
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = errSilent
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	return 0, nil, fmt.Errorf("--admin-address %v: %w", at, err)
}

// get does not use net/http's client: gRPC may send its first frame before it is asked, and that
// client's error is another one then.
func get(ctx context.Context, conn net.Conn, path string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	request.Close = true
	written := request.Write(conn) // what has spoken before and hung up may still be read
	const protocol = "HTTP/"
	reader := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	for i := range len(protocol) {
		switch start, err := reader.Peek(i + 1); {
		case err != nil:
			return 0, nil, fmt.Errorf("no answer: %w; the sidecar is just stopping, or it is --listen with TLS, "+
				"where calls go: give the address of --admin-listen", cmp.Or(written, err))
		case start[i] != protocol[i]:
			return 0, nil, errNotHTTP
		}
	}
	answer, err := http.ReadResponse(reader, request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	return answer.StatusCode, body, err
}

// noAdminListener is the error where a web server answers otherwise than a sidecar would.
func noAdminListener(at config.Address, status int) error {
	return fmt.Errorf("--admin-address %v: what answers there, with status %d, is not the --admin-listen of a sidecar",
		at, status)
}
