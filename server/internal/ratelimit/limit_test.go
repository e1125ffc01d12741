package ratelimit

import (
	"regexp"
	"testing"
)

func TestEveryLimitIsDescribed(t *testing.T) {
	t.Parallel()
	name, help, description := regexp.MustCompile(`^[a-z]+$`), regexp.MustCompile(`^For .+\.$`), regexp.MustCompile(`^calls of .+[^.]$`)
	seen := map[string]Limit{}
	for _, limit := range Limits() {
		if _, err := ParseRate(limit.Default()); err != nil {
			t.Errorf("%v: default %v", limit, err)
		}
		for text, form := range map[string]*regexp.Regexp{limit.String(): name, limit.Help(): help, limit.Description(): description} {
			if !form.MatchString(text) {
				t.Errorf("limit %d says %q, want %v", uint8(limit), text, form)
			}
			if other, found := seen[text]; found {
				t.Errorf("limits %d and %d both say %q", uint8(other), uint8(limit), text)
			}
			seen[text] = limit
		}
	}
}

// Every limit has its local table, is reserved, and takes the answer of a shared store.
func TestEveryLimitCounts(t *testing.T) {
	t.Parallel()
	for _, limit := range Limits() {
		t.Run(limit.String(), func(t *testing.T) {
			t.Parallel()
			local := newTestLocal(16)
			var budgets Budgets
			if budgets.AreShared() {
				t.Error("nothing is shared while every rate is off")
			}
			budgets[limit].Rate = mustRate(t, "1/h")
			if !budgets.AreShared() {
				t.Error("a shared store does not count it")
			}
			answer := Answer{}
			answer.Ahead[limit] = 1 << 62
			if d := answer.Decision(&budgets); d.Limit != limit || d.RetryAfter != budgets[limit].Rate.Interval() {
				t.Errorf("refused by the shared store: %+v", d)
			}
			reservation, _ := local.Reserve(&budgets)
			if d := local.takeAt(0, &budgets); d.Allowed || d.Limit != limit {
				t.Errorf("reserved, then %+v", d)
			}
			reservation.Settle(Answer{Allowed: true})
			if d := local.takeAt(0, &budgets); d.Allowed || d.Limit != limit {
				t.Errorf("spent, then %+v", d)
			}
			budgets[limit].Local = true
			if budgets.AreShared() {
				t.Error("a shared store counts a key that is this process's own")
			}
		})
	}
}
