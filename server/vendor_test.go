package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// What serve does while Kustomer's API is down, slow, limiting or lying. At start:
// it lives, is not ready and says why, and refuses each call at once. At a
// refresh: the last good secret stays and calls go on, and the failure is
// counted under its kind. Afterwards: it takes up the new secret by itself.
func TestKustomerFails(t *testing.T) {
	t.Parallel()
	for mood, want := range map[standin.Behaviour]struct {
		kind   kustomer.Kind
		reason string
	}{
		standin.HangUp:        {kustomer.KindNetwork, "closed before the answer was complete"},
		standin.Slow:          {kustomer.KindNetwork, "no complete answer within 10s"},
		standin.RateLimited:   {kustomer.KindRateLimited, "budget for this minute is spent (429"},
		standin.RetryAfter:    {kustomer.KindRateLimited, "budget for this minute is spent (429"},
		standin.ServerError:   {kustomer.KindServer, "(500"},
		standin.Unavailable:   {kustomer.KindServer, "(503"},
		standin.Refused:       {kustomer.KindRefused, "roles org.admin and org.user"},
		standin.HTML:          {kustomer.KindAnswer, "web page"},
		standin.Empty:         {kustomer.KindAnswer, "not the expected JSON"},
		standin.EmptySecret:   {kustomer.KindAnswer, "secret is empty"},
		standin.Huge:          {kustomer.KindAnswer, "larger than 64 KiB"},
		standin.Truncated:     {kustomer.KindNetwork, "closed before the answer was complete"},
		standin.TruncatedJSON: {kustomer.KindAnswer, "not the expected JSON"},
		standin.WrongType:     {kustomer.KindAnswer, "no attributes.secret that is text"},
		standin.OtherHost:     {kustomer.KindStatus, "redirects to another place"},
	} {
		t.Run(string(mood), func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: rotated(1)})
			vendor.SetBehaviour(mood)
			p, _ := startOnStandin(t, vendor, "--secret-refresh", "1s", "--limit-customer", "off")
			client := p.client(t)
			assertNoSecret(t, p, client, "")
			if mood == standin.Slow && rounds(0, 1, 1) == 0 {
				return // the reason takes the 10 s that a request may
			}
			eventually(t, "reason", func() bool { _, body := p.get(t, "/readyz"); return strings.Contains(body, want.reason) })
			assertNoSecret(t, p, client, want.reason)
			if mood != standin.HTML && rounds(0, 1, 1) == 0 {
				return // what follows is seconds of waiting for the next attempt, so only one of them does it by default
			}

			vendor.SetBehaviour(standin.Normal)
			eventually(t, "secret", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })

			vendor.SetBehaviour(mood)
			before := p.refreshes(t, want.kind)
			eventually(t, "failed refresh", func() bool { return p.refreshes(t, want.kind) > before })
			issueUnder(t, client, 1)
			if code, body := p.get(t, "/readyz"); code != 200 {
				t.Errorf("not ready although it has a secret: %s", body)
			}
			if log := p.stderr.String(); !strings.Contains(log, "keeping the last good one") {
				t.Errorf("no warning:\n%s", log)
			}

			vendor.SetSecret(rotated(2))
			vendor.SetBehaviour(standin.Normal)
			eventually(t, "token under the new secret", func() bool {
				reply, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
				return err == nil && signedWith(reply.GetToken(), rotated(2))
			})
		})
	}
}

// A secret that was not refreshed for --secret-max-stale signs no more.
func TestKustomerIsGoneForGood(t *testing.T) {
	t.Parallel()
	url, stop, err := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: rotated(1)}).Start()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, setup{
		args: []string{"--api-url", url, "--secret-refresh", "1s", "--secret-max-stale", "2s", "--limit-customer", "off"},
		env:  []string{"KUSTOMER_API_KEY=" + canaryAPIKey},
	})
	eventually(t, "secret", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })
	stop()
	client := p.client(t)
	const reason = "older than the maximum of 2s"
	eventually(t, "end of the secret", func() bool { _, body := p.get(t, "/readyz"); return strings.Contains(body, reason) })
	assertNoSecret(t, p, client, reason)
	if _, body := p.get(t, "/readyz"); !strings.Contains(body, "connection refused") {
		t.Errorf("not ready, and does not say why: %s", body)
	}
}

// Three fresh answers say that the clock is wrong: tokens would be refused, and
// are not signed.
func TestKustomersClockIsAnother(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: rotated(1), Now: func() time.Time { return time.Now().Add(time.Hour) }})
	p, _ := startOnStandin(t, vendor, "--secret-refresh", "1s")
	eventually(t, "reason", func() bool {
		_, body := p.get(t, "/readyz")
		return strings.Contains(body, "the clock differs from Kustomer's")
	})
	if asked := vendor.Requests(); asked < 3 {
		t.Errorf("%d answers were enough", asked)
	}
	_, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", ""))
	if status.Code(err) != codes.Unavailable || !strings.Contains(said(err), "CLOCK_SKEWED") {
		t.Errorf("error %v", said(err))
	}
	if offset := p.metric(t, `chatidentity_kustomer_clock_offset_seconds{organization="default"}`); offset < 3595 || offset > 3605 {
		t.Errorf("the metric says %v s", offset)
	}
}

// assertNoSecret demands a sidecar that lives, is not ready for the reason, and
// refuses calls.
func assertNoSecret(t *testing.T, p *running, client pb.ChatIdentityServiceClient, reason string) {
	t.Helper()
	if code, _ := p.get(t, "/livez"); code != 200 {
		t.Errorf("live: %d", code)
	}
	if code, body := p.get(t, "/readyz"); code != 503 || !strings.HasPrefix(body, "secret of default: no signing secret") || !strings.Contains(body, reason) {
		t.Errorf("ready: %d %s", code, body)
	}
	reply, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
	if reply.GetToken() != "" || status.Code(err) != codes.Unavailable || !strings.Contains(said(err), "SECRET_UNAVAILABLE") {
		t.Errorf("reply %v, error %s", reply, said(err))
	}
}

// refreshes returns how many refreshes ended so.
func (p *running) refreshes(t *testing.T, kind kustomer.Kind) float64 {
	t.Helper()
	return p.metric(t, fmt.Sprintf(`chatidentity_secret_refresh_total{organization="default",result="%s"}`, kind))
}
