package manifest_test

import (
	"testing"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/manifest"
)

// Whatever the text, nothing panics, and what was changed once is not changed again. Whatever the
// value of a variable, it arrives.
func FuzzAdd(f *testing.F) {
	for _, raw := range workloads(f) {
		f.Add(raw, "1/s:20", true)
		f.Add(raw, "$(POD_NAME) #\n$name", false)
	}
	f.Add(nameless, "", true)
	f.Fuzz(func(t *testing.T, raw, value string, more bool) {
		given := []manifest.Variable{{"CHATIDENTITY_ORGANIZATION", value}}
		if utf8.ValidString(value) && variablesIn(t, workloadForms["over lines"], given)["CHATIDENTITY_ORGANIZATION"] != value {
			t.Errorf("%q does not arrive", value)
		}
		options := manifest.Options{Image: image, ReadyGated: more, UnixSocket: more, AllowUID: new(uint32(10001)), Env: given}
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
