package manifest_test

import (
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/manifest"
)

// Whatever the text, nothing panics, and what was changed once is not changed again.
func FuzzAdd(f *testing.F) {
	for _, raw := range workloads(f) {
		f.Add(raw, true)
		f.Add(raw, false)
	}
	f.Add(nameless, true)
	f.Fuzz(func(t *testing.T, raw string, more bool) {
		options := manifest.Options{Image: image, ReadyGated: more, UnixSocket: more, AllowUID: new(uint32(10001))}
		if more {
			options.AuditVolume = "claim"
		}
		result, _, err := manifest.Add(raw, options)
		if err != nil {
			return
		}
		if again, _, err := manifest.Add(result, options); err != nil || again != result {
			t.Errorf("%q gives %q, and that %q, %v", raw, result, again, err)
		}
	})
}
