package listen

import (
	"io"
	"testing"
	"time"
)

// patience is how long a test waits for what should happen at once, or within seconds.
const patience = 30 * time.Second

// CloseIfStuck closes what a test reads from or accepts from, so that one that waits in vain fails
// instead of hanging.
func CloseIfStuck(t *testing.T, closers ...io.Closer) {
	t.Helper()
	timer := time.AfterFunc(patience, func() {
		for _, c := range closers {
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		if !timer.Stop() {
			t.Errorf("something that was waited for has not come within %v", patience)
		}
	})
}

// NextRefusal returns the next refusal that is reported.
func NextRefusal(t *testing.T, reported <-chan Refusal) Refusal {
	t.Helper()
	select {
	case refusal := <-reported:
		return refusal
	case <-time.After(patience):
		t.Fatal("nothing more is reported")
		return Refusal{}
	}
}
