package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// A client that finds nothing at the default address points to a sidecar at the old one, even to one
// that refuses the client.
func TestAClientPointsToASidecarAtTheOldPort(t *testing.T) {
	t.Parallel()
	open := start(t, withSecret())
	tokens := writeFile(t, "checkout sha256:"+strings.Repeat("0a", 32)+"\n")
	guarded := start(t, withSecret("--caller-tokens-file", tokens))
	nothing := status.Error(codes.Unavailable, "connection refused")
	for name, test := range map[string]struct {
		err          error
		address, old string
		points       bool
	}{
		"a sidecar":               {nothing, config.DefaultListen, open.address, true},
		"one that refuses":        {nothing, config.DefaultListen, guarded.address, true},
		"no sidecar":              {nothing, config.DefaultListen, open.admin, false},
		"another error":           {status.Error(codes.InvalidArgument, ""), config.DefaultListen, open.address, false},
		"an address of their own": {nothing, "127.0.0.1:1", open.address, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientFlags{Address: config.Address{Network: "tcp", Address: test.address}}
			hint := client.oldPortHint(t.Context(), test.err, test.old)
			if points := strings.Contains(hint, "--address "+test.old); points != test.points {
				t.Errorf("hint %q", hint)
			}
		})
	}
}
