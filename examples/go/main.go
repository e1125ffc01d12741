// A backend in Go that lets its users chat as themselves: it logs a user in,
// and on POST /chat-token asks the sidecar for that user's token. Whatever the
// sidecar does, the rest of the backend goes on.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	"log"
	"math"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	chatidentity "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// The retries, all within one deadline. RESOURCE_EXHAUSTED is not among them:
// the sidecar says when to come back, and the browser is told.
const (
	deadline      = time.Second
	serviceConfig = `{"methodConfig": [{
		"name": [{"service": "chatidentity.v1.ChatIdentityService"}],
		"retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "0.2s",
			"backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
)

type app struct {
	chat     chatidentity.ChatIdentityServiceClient
	sessions sync.Map // session ID to user ID; a real backend has its own
}

func main() {
	reconnect := backoff.DefaultConfig
	reconnect.MaxDelay = 5 * time.Second // else up to two minutes pass after a restart of the sidecar
	connection, err := grpc.NewClient(cmp.Or(os.Getenv("CHATIDENTITY_ADDRESS"), "127.0.0.1:9451"),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // it never leaves the machine
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: deadline}))
	if err != nil {
		log.Fatal(err)
	}
	a := &app{chat: chatidentity.NewChatIdentityServiceClient(connection)}
	http.HandleFunc("GET /{$}", a.page)
	http.HandleFunc("POST /login", a.logIn)
	http.HandleFunc("POST /chat-token", a.chatToken)
	address := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	log.Print("listening on http://", address)
	server := &http.Server{Addr: address, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func (a *app) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, `<p>User: %s</p>`+
		`<form method=post action=/login><input name=user_id><button>Log in</button></form>`,
		html.EscapeString(a.user(r)))
}

// logIn stands for the backend's own log-in: it believes what it is told.
func (a *app) logIn(w http.ResponseWriter, r *http.Request) {
	session := rand.Text()
	a.sessions.Store(session, r.FormValue("user_id"))
	http.SetCookie(w, &http.Cookie{
		Name: "session", Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// user returns who is logged in, or "".
func (a *app) user(r *http.Request) string {
	cookie, err := r.Cookie("session")
	if err != nil {
		return ""
	}
	user, _ := a.sessions.Load(cookie.Value)
	name, _ := user.(string)
	return name
}

func (a *app) chatToken(w http.ResponseWriter, r *http.Request) {
	user := a.user(r) // from the session, never from the request
	if user == "" {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "not logged in"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	ctx = metadata.NewOutgoingContext(ctx, trace(r))
	issued, err := a.chat.IssueToken(ctx, &chatidentity.IssueTokenRequest{
		Customer: &chatidentity.Customer{ExternalId: user},
	})
	if err != nil {
		refuse(w, status.Convert(err))
		return
	}
	identifier := "external_id"
	if issued.GetLoginIdentifier() == chatidentity.Identifier_IDENTIFIER_EMAIL {
		identifier = "email"
	}
	answer(w, http.StatusOK, map[string]any{
		"token": issued.GetToken(), "login_identifier": identifier, "expire_time": issued.GetExpireTime().AsTime(),
	})
}

// traceable is what the sidecar takes; other bytes would make gRPC refuse the call.
var traceable = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// trace returns what connects the sidecar's records with this request.
func trace(r *http.Request) metadata.MD {
	md := metadata.MD{}
	for _, name := range []string{"x-request-id", "traceparent"} {
		if value := r.Header.Get(name); traceable.MatchString(value) {
			md.Set(name, value)
		}
	}
	return md
}

// refuse tells the browser to wait, or to do without chat log-in.
func refuse(w http.ResponseWriter, failed *status.Status) {
	var reason, auditID string
	retryAfter := 1.0
	for _, detail := range failed.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason, auditID = detail.GetReason(), detail.GetMetadata()["audit_id"]
		case *errdetails.RetryInfo:
			retryAfter = math.Ceil(detail.GetRetryDelay().AsDuration().Seconds())
		}
	}
	what := "no chat token"
	if isSetUp(failed.Code(), reason) { // nobody gets a token until it is mended: alarm on this line
		what = "ERROR: the set-up of chat is wrong"
	}
	line := fmt.Sprintf("%s: %v", what, failed.Code())
	if reason != "" {
		line += fmt.Sprintf(" %s audit_id=%s", reason, auditID)
	}
	log.Printf("%s: %s", line, failed.Message())
	switch failed.Code() {
	case codes.ResourceExhausted:
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter)))
		answer(w, http.StatusTooManyRequests, map[string]any{"error": "too many chat log-ins"})
	case codes.InvalidArgument: // our own fault: the log names the rule that this user's ID breaks
		answer(w, http.StatusUnprocessableEntity, map[string]any{"error": "this user cannot log in to chat"})
	default:
		answer(w, http.StatusOK, map[string]any{"token": nil})
	}
}

// isSetUp tells an error that gRPC itself answers with from a sidecar that is away.
func isSetUp(code codes.Code, reason string) bool {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return false
	default:
		return reason == ""
	}
}

func answer(w http.ResponseWriter, code int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
