package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// maxPage bounds what is read of a page of the admin listener.
const maxPage = 1 << 20

// getAdmin returns the status and the body of a page of the admin listener of a running sidecar. No
// proxy is asked.
func getAdmin(ctx context.Context, at config.Address, path string) (int, []byte, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, at.Network, at.Address)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	answer, err := client.Do(request)
	if err != nil && strings.Contains(err.Error(), "malformed HTTP response") {
		return 0, nil, fmt.Errorf("--admin-address %v: what answers there speaks no HTTP/1: "+
			"it may be --listen, where calls go; give the address of --admin-listen", at)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("--admin-address %v: %w", at, errors.Unwrap(err)) // the URL is not the address
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	if err != nil {
		return 0, nil, fmt.Errorf("--admin-address %v: %w", at, err)
	}
	return answer.StatusCode, body, nil
}
