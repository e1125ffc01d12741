package devweb

import (
	"encoding/json"
	"net/http"
)

// state is what the page shows.
type state struct {
	User    *user    `json:"user"` // null: nobody is logged in
	Issued  *Issued  `json:"issued,omitempty"`
	Verdict *Verdict `json:"verdict,omitempty"` // of the issued token, now
	Refused *Refusal `json:"refused,omitempty"` // of the last call
	Record  *record  `json:"record,omitempty"`  // of the last call
}

// user is a customer in the app's own words. It is never logged.
type user struct {
	ExternalID string `json:"external_id"`
	Email      string `json:"email"`
}

type record struct {
	Line    json.RawMessage `json:"line,omitempty"`
	Missing string          `json:"missing,omitempty"` // why there is no line
}

func (a *app) state(w http.ResponseWriter, r *http.Request) {
	loggedIn, now := a.snapshot()
	if loggedIn == nil {
		answer(w, http.StatusOK, state{})
		return
	}
	shown := state{User: &user{now.who.ExternalID, now.who.Email}, Issued: now.issued, Refused: now.refused}
	switch {
	case now.refused != nil && now.refused.AuditID != "":
		shown.Record = a.record(now.refused.AuditID)
	case now.refused == nil && now.issued != nil:
		shown.Record = a.record(now.issued.AuditID)
	}
	if now.issued != nil {
		verdict, err := a.backend.Verify(r.Context(), now.issued.Token)
		if err != nil {
			verdict = Verdict{Verdict: "unknown", Detail: err.Error()}
		}
		shown.Verdict = &verdict
	}
	answer(w, http.StatusOK, shown)
}

func (a *app) record(auditID string) *record {
	line, err := a.backend.Record(auditID)
	if err != nil {
		return &record{Missing: err.Error()}
	}
	return &record{Line: line}
}
