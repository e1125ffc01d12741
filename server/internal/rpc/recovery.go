package rpc

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
)

// recovered makes an INTERNAL of a panic. The log gets where it happened but not the panic's text,
// which may hold a value of the request.
func (s *Server) recovered(_ context.Context, p any) error {
	s.metrics.panics.Inc()
	return internal(fmt.Errorf("panic of type %T at %s", p, panicSite(string(debug.Stack()))))
}

// panicSite returns the lines of a stack from the panic outwards, without arguments.
func panicSite(stack string) string {
	_, stack, _ = strings.Cut(stack, "\npanic(")
	var sites []string
	for line := range strings.Lines(stack) {
		if file, ok := strings.CutPrefix(line, "\t"); ok && len(sites) < 8 {
			file, _, _ = strings.Cut(strings.TrimSpace(file), " ")
			sites = append(sites, file)
		}
	}
	return strings.Join(sites, ", ")
}
