package audit

import (
	"testing"
	"time"
)

func TestNewID(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(0x0123456789ab)
	ones := func() uint64 { return 1<<64 - 1 }
	zeros := func() uint64 { return 0 }
	for want, random := range map[string]func() uint64{
		"01234567-89ab-7fff-bfff-ffffffffffff": ones,
		"01234567-89ab-7000-8000-000000000000": zeros,
	} {
		if got := NewID(at, random); got != want {
			t.Errorf("NewID = %s, want %s", got, want)
		}
	}
	if first, second := NewID(at, nil), NewID(at, nil); first == second {
		t.Error("two ids are the same")
	}
}
