package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// maxPage bounds what is read of a page of the admin listener, maxHead what comes before it.
const maxPage, maxHead = 1 << 20, 64 << 10

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
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // a read or write that waits ends
	status, body, err := get(ctx, conn, path)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return 0, nil, fmt.Errorf("--admin-address %v: %w", at, err)
	}
	return status, body, nil
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
	reader := bufio.NewReader(io.LimitReader(conn, maxHead+maxPage))
	start, err := reader.Peek(len(protocol))
	switch {
	case len(start) > 0 && !strings.HasPrefix(protocol, string(start)):
		return 0, nil, errNotHTTP
	case err != nil:
		return 0, nil, fmt.Errorf("no answer: %w; it may be --listen with TLS, where calls go; "+
			"give the address of --admin-listen", cmp.Or(written, err))
	}
	answer, err := http.ReadResponse(reader, request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	return answer.StatusCode, body, err
}
