package rpc

import (
	"context"
	"testing"

	"go.uber.org/goleak"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unserved is a server that listens nowhere, until the end of the test.
func unserved(t *testing.T, options Options) *Server {
	t.Helper()
	server := New(options)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	return server
}
