package cluster

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

// secretRows make and change the Secret under running pods.
var secretRows = []row{
	{"missing Secret", "made 10 s after the pods", func(s *space) saw { return lateSecret(s, false) }},
	{"missing Secret, annotated", "the same; the pods annotated right after", func(s *space) saw { return lateSecret(s, true) }},
	{"rotation", "the Secret changed under three pods", func(s *space) saw { return rotation(s, false) }},
	{"rotation, annotated", "the same; the pods annotated right after", func(s *space) saw { return rotation(s, true) }},
}

// How long a Secret may take to reach a pod: the kubelet's period and a part of it by chance, and
// its answer to a pod that changes.
const (
	kubeletPeriod = 110 * time.Second
	atOnce        = 5 * time.Second
)

func within(annotated bool) time.Duration {
	if annotated {
		return atOnce
	}
	return kubeletPeriod
}

func lateSecret(s *space, annotated bool) saw {
	s.deploy(app{replicas: "2"})
	pods := s.awaitPods("app=shop", 2)
	for _, p := range pods {
		told := s.awaitReport(p, "refusals", patience, func(told report.Report) bool {
			return time.Since(told.Start) > 10*time.Second
		})
		if told.Tokens != 0 || told.Failures["SECRET_UNAVAILABLE"] != told.Calls {
			s.Errorf("without a Secret the app saw %+v", told)
		}
	}
	s.chatSecret()
	made := time.Now()
	if annotated {
		s.shell(s.command("kubectl annotate pods"))
	}
	var latest time.Duration
	for _, p := range pods {
		told := s.awaitReport(p, "tokens", kubeletPeriod, func(told report.Report) bool { return told.Tokens >= 100 })
		latest = max(latest, told.FirstToken.Sub(made))
		s.restarts(p, 0)
	}
	if latest > within(annotated) {
		s.Errorf("tokens after %v", latest)
	}
	s.kubectl("delete", "deployment", "shop")
	return saw{s.last(pods), "tokens " + seconds(latest) + " after the Secret was made, without a restart"}
}

func rotation(s *space, annotated bool) saw {
	s.chatSecret()
	s.deploy(app{replicas: "3"})
	pods := s.awaitPods("app=shop", 3)
	s.awaitTokens(pods, 300)
	before := map[string]string{}
	for _, p := range pods {
		before[p.Metadata.Name] = s.secretID(p)
	}
	s.secret("kustomer-chat", "secret", "another-"+chatSecret)
	changed := time.Now()
	if annotated {
		s.shell(s.command("kubectl annotate pods"))
	}
	var last time.Duration
	for _, p := range pods {
		err := node.Await("the new secret", kubeletPeriod, func() error {
			if id := s.secretID(p); id == before[p.Metadata.Name] {
				return fmt.Errorf("%s still has %s", p.Metadata.Name, id)
			}
			return nil
		})
		if err != nil {
			s.Fatal(err)
		}
		last = time.Since(changed)
	}
	if last > within(annotated) {
		s.Errorf("the new secret after %v", last)
	}
	s.awaitTokens(pods, 300)
	s.kubectl("delete", "deployment", "shop")
	seen := s.last(pods)
	s.noFailure(seen)
	return saw{seen, "all pods sign with the new secret after " + seconds(last)}
}

var secretInfo = regexp.MustCompile(`chatidentity_secret_info\{[^}]*secret_id="(\w+)"`)

// secretID is the fingerprint of the secret with which a pod signs, from its metrics.
func (s *space) secretID(p pod) string {
	s.Helper()
	found := secretInfo.FindStringSubmatch(s.metrics(p))
	if found == nil {
		s.Fatal("no chatidentity_secret_info")
	}
	return found[1]
}

// metrics are those of a pod's sidecar.
func (s *space) metrics(p pod) string {
	s.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get("http://" + p.Status.PodIP + ":9452/metrics")
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	return strings.ToValidUTF8(string(text), "")
}
