package sensitive_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const canary = "canary-7f3a-do-not-print"

type wrapper struct {
	Exported   sensitive.String
	unexported sensitive.String
}

func TestStringPrintsRedactedByEveryRoute(t *testing.T) {
	t.Parallel()
	value := sensitive.New(canary).Keeping()
	value.Keep(func() any { return canary })
	holders := map[string]any{
		"value":   value,
		"pointer": &value,
		"struct":  wrapper{value, value},
		"nested":  &struct{ w wrapper }{wrapper{value, value}},
		"slice":   []sensitive.String{value},
		"map":     map[string]sensitive.String{"k": value},
		"error":   fmt.Errorf("wrapped: %w", fmt.Errorf("cause %v", value)),
	}
	for name, holder := range holders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3v"} {
				assertHidden(t, verb, fmt.Sprintf(verb, holder))
			}
			asJSON, err := json.Marshal(holder)
			if err != nil {
				t.Fatal(err)
			}
			assertHidden(t, "JSON", string(asJSON))
			var log bytes.Buffer
			slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "k", holder)
			slog.New(slog.NewTextHandler(&log, nil)).Info("m", "k", holder)
			assertHidden(t, "slog", log.String())
		})
	}
	if got := fmt.Sprint(value); got != "[redacted]" {
		t.Errorf("Sprint = %q, want [redacted]", got)
	}
	if got := value.Reveal(); got != canary {
		t.Errorf("Reveal = %q, want the text", got)
	}
}

func TestZeroValueIsEmpty(t *testing.T) {
	t.Parallel()
	var zero sensitive.String
	if !zero.IsEmpty() || zero.Reveal() != "" || !sensitive.New("").IsEmpty() || sensitive.New("x").IsEmpty() {
		t.Error("the zero value must be the empty text, and only empty text is empty")
	}
}

func TestWhatIsKeptIsMadeOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		value sensitive.String
		want  int
	}{
		"keeping": {sensitive.New("x").Keeping(), 1},
		"not":     {sensitive.New("x"), 3},
		"zero":    {sensitive.String{}, 3},
	} {
		made := 0
		derive := func() any { made++; return made }
		for range 2 {
			test.value.Keep(derive)
		}
		if kept := test.value.Keep(derive); kept != test.want || made != test.want {
			t.Errorf("%s: %v is kept, and it was made %d times, want %d", name, kept, made, test.want)
		}
	}
}

func assertHidden(t *testing.T, route, printed string) {
	t.Helper()
	hexed := fmt.Sprintf("%x", canary)
	for _, leak := range []string{canary, "canary", hexed, strings.ToUpper(hexed)} {
		if strings.Contains(printed, leak) {
			t.Errorf("%s shows the value: %s", route, printed)
		}
	}
}
