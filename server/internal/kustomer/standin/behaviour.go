package standin

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Behaviour is how a stand-in answers, whatever the path.
type Behaviour string

// The behaviours. All but Normal and BareAttributes give no usable secret.
const (
	Normal           Behaviour = "normal"               // as the API answers: JSON:API
	BareAttributes   Behaviour = "bare attributes"      // as the vendor's page shows: {"attributes":{"secret":...}}
	RateLimited      Behaviour = "limiting"             // 429 without a word on when
	RetryAfter       Behaviour = "limiting, says when"  // 429 with Retry-After: 1
	ServerError      Behaviour = "500"                  //
	Unavailable      Behaviour = "503"                  // with a page in HTML, as a gateway sends it
	Slow             Behaviour = "slow"                 // no answer until the client gives up
	SlowBody         Behaviour = "slow body"            // headers, half a body, then nothing
	HangUp           Behaviour = "hangs up"             // closes the connection without an answer
	Truncated        Behaviour = "truncated"            // closes it in the middle of the body
	TruncatedJSON    Behaviour = "truncated JSON"       // a whole answer with half a document
	Garbage          Behaviour = "garbage"              // not HTTP; repeats key and secret, as do the next ones
	HTML             Behaviour = "HTML"                 //
	Empty            Behaviour = "empty"                // 200 without a body
	EmptySecret      Behaviour = "empty secret"         //
	Huge             Behaviour = "huge"                 // 1 MiB
	WrongType        Behaviour = "wrong type"           // the secret is a number
	Null             Behaviour = "null"                 //
	NoSecret         Behaviour = "no secret"            // attributes without one
	NotUnicode       Behaviour = "not Unicode"          // half a surrogate pair
	OtherHost        Behaviour = "redirect"             // to another host
	RedirectLoop     Behaviour = "redirect loop"        // to itself
	Refused          Behaviour = "401"                  //
	LeakyError       Behaviour = "error repeats values" // 400 whose code, title and message hold key and secret
	CachedLongAgo    Behaviour = "cached"               // a usable answer with an Age and yesterday's Date
	MissingDate      Behaviour = "no date"              // a usable answer without Date
	UnexpectedStatus Behaviour = "204"                  //
)

// Failing returns the behaviours that give no usable secret.
func Failing() []Behaviour {
	var failing []Behaviour
	for behaviour := range moods {
		if !slices.Contains([]Behaviour{BareAttributes, CachedLongAgo, MissingDate}, behaviour) {
			failing = append(failing, behaviour)
		}
	}
	slices.Sort(failing)
	return failing
}

type mood func(w http.ResponseWriter, r *http.Request, o Options)

// moods are the behaviours other than Normal.
var moods = map[Behaviour]mood{
	BareAttributes: func(w http.ResponseWriter, _ *http.Request, o Options) {
		writeJSON(w, http.StatusOK, map[string]any{"attributes": map[string]any{"secret": o.Secret, "roles": o.Roles}})
	},
	RateLimited: func(w http.ResponseWriter, _ *http.Request, _ Options) {
		plainError(w, http.StatusTooManyRequests, "too_many_requests", "Too many requests")
	},
	RetryAfter: func(w http.ResponseWriter, _ *http.Request, _ Options) {
		w.Header().Set("Retry-After", "1")
		jsonAPIError(w, http.StatusTooManyRequests, "too_many_requests", "Too Many Requests")
	},
	ServerError: func(w http.ResponseWriter, _ *http.Request, _ Options) {
		jsonAPIError(w, http.StatusInternalServerError, "internal_error", "Internal Server Error")
	},
	Unavailable: func(w http.ResponseWriter, _ *http.Request, _ Options) {
		page(w, http.StatusServiceUnavailable, "503 Service Temporarily Unavailable")
	},
	Slow:          func(_ http.ResponseWriter, r *http.Request, _ Options) { <-r.Context().Done() },
	SlowBody:      slowBody,
	HangUp:        func(http.ResponseWriter, *http.Request, Options) { panic(http.ErrAbortHandler) },
	Truncated:     truncated,
	TruncatedJSON: body(`{"data":{"attributes":{"secret":"%s`),
	Garbage:       garbage,
	HTML: func(w http.ResponseWriter, _ *http.Request, o Options) {
		page(w, http.StatusOK, o.Secret)
	},
	Empty:       body(``),
	EmptySecret: body(`{"data":{"attributes":{"secret":""}}}`),
	Huge: func(w http.ResponseWriter, _ *http.Request, o Options) {
		filler := strings.Repeat("x", 1<<20)
		_, _ = io.WriteString(w, `{"data":{"attributes":{"secret":"`+o.Secret+`","filler":"`+filler+`"}}}`)
	},
	WrongType:  body(`{"data":{"attributes":{"secret":12345678901234567890123456789012345}}}`),
	Null:       body(`null`),
	NoSecret:   body(`{"data":{"attributes":{"name":"%s"}}}`),
	NotUnicode: body(`{"data":{"attributes":{"secret":"%s\ud800"}}}`),
	OtherHost: func(w http.ResponseWriter, r *http.Request, o Options) {
		// localhost is a different name from 127.0.0.1, and would answer.
		_, port, _ := strings.Cut(r.Host, ":")
		http.Redirect(w, r, "http://localhost:"+port+r.URL.Path+"?secret="+o.Secret, http.StatusFound)
	},
	RedirectLoop: func(w http.ResponseWriter, r *http.Request, _ Options) {
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	},
	Refused: func(w http.ResponseWriter, _ *http.Request, _ Options) {
		plainError(w, http.StatusUnauthorized, "unauthorized", "no valid token was found")
	},
	LeakyError: func(w http.ResponseWriter, _ *http.Request, o Options) {
		plainError(w, http.StatusBadRequest, o.APIKey, o.Secret+" "+o.APIKey)
	},
	CachedLongAgo: func(w http.ResponseWriter, _ *http.Request, o Options) {
		w.Header().Set("Age", "86400")
		w.Header().Set("Date", o.Now().Add(-24*time.Hour).UTC().Format(http.TimeFormat))
		writeJSON(w, http.StatusOK, settingsBody(o.Secret))
	},
	MissingDate: func(w http.ResponseWriter, _ *http.Request, o Options) {
		w.Header()["Date"] = nil // net/http adds no Date then
		writeJSON(w, http.StatusOK, settingsBody(o.Secret))
	},
	UnexpectedStatus: func(w http.ResponseWriter, _ *http.Request, _ Options) { w.WriteHeader(http.StatusNoContent) },
}

// body answers 200 with a fixed JSON text, %s being the secret.
func body(format string) mood {
	return func(w http.ResponseWriter, _ *http.Request, o Options) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.ReplaceAll(format, "%s", o.Secret))
	}
}

func page(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!doctype html><title>"+text+"</title>\n")
}

func truncated(w http.ResponseWriter, _ *http.Request, o Options) {
	half := `{"data":{"attributes":{"secret":"` + o.Secret
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(2*len(half)))
	_, _ = io.WriteString(w, half)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func slowBody(w http.ResponseWriter, r *http.Request, o Options) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"data":{"attributes":{"secret":"`+o.Secret)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func garbage(w http.ResponseWriter, _ *http.Request, o Options) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = connection.Close() }()
	_, _ = io.WriteString(connection, o.Secret+" "+o.APIKey+"\r\n\r\n")
}
