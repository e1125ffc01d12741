package devweb

import (
	"embed"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"sync"

	"github.com/chatidentity/chatidentity/examples/web"
	"github.com/chatidentity/chatidentity/server/internal/customer"
)

//go:embed page
var page embed.FS

// Handler is the app, and the part of Kustomer that a browser talks to:
//
//	GET  /             the page and its files
//	POST /session      logs the user of the form in to the app
//	POST /session/end  logs the app's user out
//	POST /chat-token   asks the sidecar for a token of the app's user
//	POST /state        tells the page who is logged in, and how the last call to the sidecar went
//	POST /log-in       takes a token as Kustomer's chat does
func Handler(backend Backend) http.Handler {
	a := &app{backend: backend}
	mux := http.NewServeMux()
	for route, name := range map[string]string{
		"/{$}": "page/index.html", "/page.css": "page/page.css", "/page.js": "page/page.js", "/icon.svg": "page/icon.svg",
	} {
		mux.HandleFunc("GET "+route, file(page, name))
	}
	for route, name := range map[string]string{"/chat.js": "public/chat.js", "/widget.js": "widget.js"} {
		mux.HandleFunc("GET "+route, file(web.Files, name))
	}
	mux.HandleFunc("POST /session", a.logIn)
	mux.HandleFunc("POST /session/end", a.logOut)
	mux.HandleFunc("POST /chat-token", a.chatToken)
	mux.HandleFunc("POST /state", a.state)
	mux.HandleFunc("POST /log-in", a.vendorLogIn)
	return guard(mux)
}

// file serves one file, whole: http.ServeFileFS would answer requests for ranges too.
func file(files embed.FS, name string) http.HandlerFunc {
	kind := mime.TypeByExtension(path.Ext(name))
	return func(w http.ResponseWriter, _ *http.Request) {
		content, err := files.ReadFile(name)
		if err != nil {
			http.Error(w, "the program was built without this file", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(content) // the browser may be gone
	}
}

// app is a backend of an app with one user: whoever sits at this machine. A cookie would be sent to
// every other port of it too.
type app struct {
	backend Backend

	mu   sync.Mutex
	user *session // nil: nobody is logged in
}

// session is from a log-in to the next.
type session struct {
	who     customer.Customer
	issued  *Issued  // the last token; nil: none
	refused *Refusal // of the last call; nil: it was answered, or there was none
}

func (a *app) logIn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "that form cannot be read, or is too large", http.StatusBadRequest)
		return
	}
	a.enter(&session{who: customer.Customer{ExternalID: r.PostForm.Get("external_id"), Email: r.PostForm.Get("email")}})
	w.WriteHeader(http.StatusNoContent)
}

func (a *app) logOut(w http.ResponseWriter, _ *http.Request) {
	a.enter(nil)
	w.WriteHeader(http.StatusNoContent)
}

func (a *app) enter(user *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.user = user
}

// snapshot returns the session, and its values now.
func (a *app) snapshot() (*session, session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.user == nil {
		return nil, session{}
	}
	return a.user, *a.user
}

// chatToken answers as docs/clients.md tells backends to.
func (a *app) chatToken(w http.ResponseWriter, r *http.Request) {
	user, now := a.snapshot()
	if user == nil {
		refuse(w, http.StatusUnauthorized, "not logged in")
		return
	}
	issued, err := a.backend.Issue(r.Context(), now.who)
	refused := refusalOf(err)
	a.mu.Lock()
	user.refused = refused
	if refused == nil {
		user.issued = &issued
	}
	a.mu.Unlock()
	switch {
	case refused == nil:
		answer(w, http.StatusOK, map[string]string{"token": issued.Token, "login_identifier": issued.LoginIdentifier})
	case refused.Code == "RESOURCE_EXHAUSTED":
		w.Header().Set("Retry-After", strconv.Itoa(max(1, refused.Wait)))
		refuse(w, http.StatusTooManyRequests, "too many chat log-ins")
	case refused.Code == "INVALID_ARGUMENT":
		refuse(w, http.StatusUnprocessableEntity, "this user cannot log in to chat")
	default:
		answer(w, http.StatusOK, map[string]any{"token": nil})
	}
}

// vendorLogIn answers the vendor's script.
func (a *app) vendorLogIn(w http.ResponseWriter, r *http.Request) {
	token, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "that token cannot be read, or is too large", http.StatusBadRequest)
		return
	}
	claim, value, err := a.backend.LogIn(string(token))
	if err != nil {
		refuse(w, http.StatusUnauthorized, err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]string{claim: value})
}

func refusalOf(err error) *Refusal {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*Refusal](err); ok {
		return refused
	}
	return &Refusal{Code: "UNKNOWN", Message: err.Error()}
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, map[string]string{"error": why})
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "the answer cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the browser may be gone
}
