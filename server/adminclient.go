package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// maxPage bounds what is read of a page of the admin listener.
const maxPage = 1 << 20

var errNotHTTP = errors.New("what answers there speaks no HTTP/1: it may be --listen, where calls go; " +
	"give the address of --admin-listen")

// getAdmin returns the status and the body of a page of the admin listener of a running sidecar. No
// proxy is asked.
func getAdmin(ctx context.Context, at config.Address, path string) (int, []byte, error) {
	conn, err := new(net.Dialer).DialContext(ctx, at.Network, at.Address)
	if err != nil {
		return 0, nil, fmt.Errorf("--admin-address %v: %w", at, err)
	}
	defer conn.Close()                                          //nolint:errcheck // nothing more is expected
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // what waits for it ends
	status, body, err := get(ctx, conn, path)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return 0, nil, fmt.Errorf("--admin-address %v: %w", at, err)
	}
	return status, body, nil
}

// get asks for a page by hand: a client of net/http that finds gRPC there reads its first frame
// before it has asked, now and then, and says something else each time.
func get(ctx context.Context, conn net.Conn, path string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	request.Close = true
	if err := request.Write(conn); err != nil {
		return 0, nil, err
	}
	const protocol = "HTTP/"
	reader := bufio.NewReader(conn)
	if start, err := reader.Peek(len(protocol)); err != nil {
		return 0, nil, fmt.Errorf("no answer: %w", err)
	} else if string(start) != protocol {
		return 0, nil, errNotHTTP
	}
	answer, err := http.ReadResponse(reader, request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	return answer.StatusCode, body, err
}
