package ratelimit

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
)

// Logs a table of memory by number of distinct customers whose budgets are all in use (go test -run
// '^$' -bench Memory -benchtime 1x). It must be flat once every entry is taken.
func BenchmarkLocalMemory(b *testing.B) {
	call := Budgets{Customer: {Rate: mustRate(b, "1/h")}}
	// Two times 4,096 parts make ten million names, so that none is garbage.
	parts := [4096]string{}
	for i := range parts {
		parts[i] = strconv.Itoa(i)
	}
	for b.Loop() {
		before := resident(b)
		local := newTestLocal(DefaultCapacity)
		full, seen := 0, 0
		for _, distinct := range []int{0, 100_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000} {
			for ; seen < distinct; seen++ {
				call[Customer].Key = Key{Scope: parts[seen/len(parts)], Name: parts[seen%len(parts)]}
				local.takeAt(0, &call)
			}
			kib := resident(b) - before
			b.Logf("%10d customers  %6d KiB more resident  %8d evictions", distinct, kib, local.Evictions(Customer))
			if distinct == 1_000_000 {
				full = kib
			}
			if full > 0 && kib > full+1024 {
				b.Errorf("the store grew by %d KiB after it was full", kib-full)
			}
		}
	}
}

// resident returns this process's memory in KiB, after giving back what is free.
func resident(tb testing.TB) int {
	tb.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Skip("no /proc to read: ", err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	kib, err := strconv.Atoi(string(bytes.Fields(after)[0]))
	if err != nil {
		tb.Fatal(err)
	}
	return kib
}
