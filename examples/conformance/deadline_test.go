package conformance

import (
	"errors"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

const (
	// longestDeadline is the one that docs/clients.md asks for.
	longestDeadline = time.Second
	// roundedUp is what libraries add when they put it in few digits.
	roundedUp = 20 * time.Millisecond
)

// checkAnnounced takes the sidecar's place with a server that only looks at how
// long a call says it will wait (the grpc-timeout header), and lets it wait. A
// backend whose library sends none must cancel the call there all the same.
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
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	peer := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
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
	if header == "" && l.keepsDeadline {
		return "cancelled"
	}
	announced := timeout(t, header)
	if announced > longestDeadline+roundedUp {
		t.Fatalf("the call announces a deadline of %v, want at most %v", announced, longestDeadline)
	}
	return "at most " + longestDeadline.String()
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
