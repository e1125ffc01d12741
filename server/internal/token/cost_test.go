//go:build !race

package token_test

import (
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// Not parallel: it counts what the whole process allocates.
func TestSigningAllocatesTheTokenAlone(t *testing.T) { //nolint:paralleltest // see above
	secret, c, now := sensitive.New("secret-0123456789-0123456789-01").Keeping(), customer.Customer{ExternalID: "user_id"}, time.Now()
	if got := testing.AllocsPerRun(1000, func() { _, _ = token.Sign(secret, c, now) }); got > 2 {
		t.Errorf("%v allocations, want 2: the text, and what keeps it from being printed", got)
	}
}
