package conformance

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// longestDeadline is the one that docs/clients.md asks for.
	longestDeadline = time.Second
	// roundedUp is what libraries add when they put it in few digits.
	roundedUp = 20 * time.Millisecond
	// alarm is what a backend logs when the set-up is wrong, and then alone.
	alarm = "the set-up of chat is wrong"
)

// checkAnnounced takes the sidecar's place with a server that only looks at how long a call says it
// will wait (the grpc-timeout header), and lets it wait. A backend whose library sends none must
// cancel the call there all the same. Then the server does not know the method, which the backend
// must not take for a sidecar that is away.
func checkAnnounced(t *testing.T, l language, s *sidecar, b *backend) string {
	t.Helper()
	s.kill(t)
	defer s.start(t)
	_ = os.Remove(s.socket)
	listener, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 100)
	var answers atomic.Bool
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	peer := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answers.Load() {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "12") // UNIMPLEMENTED
			return
		}
		<-r.Context().Done()
		ended <- r.Header.Get("Grpc-Timeout")
	})}
	go func() { _ = peer.Serve(listener) }()
	defer peer.Close()
	user := b.logIn(t, "punctual")
	var header string
	eventually(t, func() error { // it has to connect again first
		if answer := user.chatToken(t); !answer.degraded() {
			t.Fatalf("while nothing answers: %d %v", answer.status, answer.fields)
		}
		select {
		case header = <-ended:
			return nil
		default:
			return errors.New("no call has come and ended")
		}
	})
	answers.Store(true)
	checkAlarm(t, b, user)
	if header == "" && l.keepsDeadline {
		return "cancelled"
	}
	announced := timeout(t, header)
	if announced > longestDeadline+roundedUp {
		t.Fatalf("the call announces a deadline of %v, want at most %v", announced, longestDeadline)
	}
	return "at most " + longestDeadline.String()
}

// checkAlarm: an error without a reason is told from chat that is away.
func checkAlarm(t *testing.T, b *backend, user *browser) {
	t.Helper()
	logged := b.watchLog(t)
	eventually(t, func() error { // on a busy machine a call may run into its deadline
		if answer := user.chatToken(t); !answer.degraded() {
			t.Fatalf("UNIMPLEMENTED: %d %v", answer.status, answer.fields)
		}
		if !logged("UNIMPLEMENTED") || !logged(alarm) || !logged("ERROR") {
			return fmt.Errorf("the log must say that the set-up is wrong:\n%s", b.log(t))
		}
		return nil
	})
	if log := b.log(t); strings.Contains(log, "audit_id=:") {
		t.Fatalf("the log has an audit_id without a value:\n%s", log)
	}
}

var timeoutForm = regexp.MustCompile(`^([0-9]{1,8})([HMSmun])$`)

// timeout reads a grpc-timeout header.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
func timeout(t *testing.T, header string) time.Duration {
	t.Helper()
	parts := timeoutForm.FindStringSubmatch(header)
	if parts == nil {
		t.Fatalf("grpc-timeout %q: the call has no deadline", header)
	}
	value, err := strconv.Atoi(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(value) * map[string]time.Duration{
		"H": time.Hour, "M": time.Minute, "S": time.Second, "m": time.Millisecond, "u": time.Microsecond, "n": time.Nanosecond,
	}[parts[2]]
}
