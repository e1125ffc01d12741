package cluster

import (
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

var redisRows = []row{
	{"Redis with a private CA", "two pods ask for the same customer, 10 a minute, for 30 s; then Redis is deleted", sharedBudget},
}

const (
	redisImage = "localhost/redis:1"
	redis      = `apiVersion: v1
kind: Pod
metadata:
  name: redis
  labels: {app: redis}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 10003, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: redis
      image: localhost/redis:1
      args: [--save, "", --protected-mode, "no", --port, "0", --tls-port, "6379", --tls-auth-clients, "no",
        --tls-cert-file, /tls/tls.crt, --tls-key-file, /tls/tls.key,
        --user, default, "off", --user, chatidentity, "on", ">of-the-suite", "~*", "&*", "+@all"]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: tls, mountPath: /tls}]
  volumes:
    - {name: tls, secret: {secretName: redis-tls}}
---
apiVersion: v1
kind: Secret
metadata: {name: redis-tls}
data: {tls.crt: $certificate, tls.key: $key}
---
apiVersion: v1
kind: Secret
metadata: {name: chatidentity-redis}
stringData: {password: of-the-suite}
data: {ca.crt: $ca}
`
)

func sharedBudget(s *space) saw {
	s.chatSecret()
	s.auditKey() // it keys the names in Redis
	s.startRedis()
	address := s.awaitPods("app=redis", 1)[0].Status.PodIP
	s.deploy(app{
		replicas: "2", args: "-customer=the-same, -pace=100ms",
		options: []string{"--limit-redis=rediss://chatidentity@" + address + ":6379/0", "--limit-redis-private-ca"},
	})
	pods := s.awaitPods("app=shop", 2)
	var seen []report.Report
	for _, p := range pods {
		if !strings.Contains(s.metrics(p), "chatidentity_ratelimit_redis_up 1") {
			s.Errorf("%s does not use Redis", p.Metadata.Name)
		}
		seen = append(seen, s.awaitReport(p, "30 s", patience, func(told report.Report) bool { return time.Since(told.Start) > 30*time.Second }))
	}
	together := sum(seen).Tokens
	began := seen[0].Start
	if seen[1].Start.Before(began) {
		began = seen[1].Start
	}
	most := 10 + int(time.Since(began)/(6*time.Second)) + 1
	if together < 10 || together > most {
		s.Errorf("%d tokens for one customer, want 10 to %d", together, most)
	}
	if failed := sum(seen); failed.Failures["RATE_LIMITED"] != failed.Failed() {
		s.Errorf("failures %v", failed.Failures)
	}
	s.kubectl("delete", "pod", "redis")
	for _, p := range pods {
		had := s.ask(p).Tokens
		s.awaitReport(p, "tokens without Redis", patience, func(told report.Report) bool { return told.Tokens > had })
		s.restarts(p, 0)
	}
	return saw{seen, fmt.Sprintf("%d tokens in all; without Redis each pod goes on by itself", together)}
}

// startRedis runs Debian's Redis with a certificate that a private CA has signed.
func (s *space) startRedis() {
	s.Helper()
	if err := cluster.Import(redisFiles(s.T)); err != nil {
		s.Fatal(err)
	}
	authority, err := node.NewAuthority("private")
	if err != nil {
		s.Fatal(err)
	}
	certificate, key, err := authority.Issue(pkix.Name{CommonName: "redis"}, node.PodAddresses()...)
	if err != nil {
		s.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	s.apply(strings.NewReplacer(
		"$certificate", encode(certificate), "$key", encode(key), "$ca", encode(authority.Certificate)).Replace(redis))
}

// redisFiles is an image of Debian's redis-server and the libraries that it loads.
func redisFiles(t *testing.T) node.Image {
	t.Helper()
	const server = "/usr/bin/redis-server"
	libraries, err := exec.Command("ldd", server).Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{server: server}
	for word := range strings.FieldsSeq(string(libraries)) {
		if strings.HasPrefix(word, "/") {
			files[word] = word
		}
	}
	return node.Image{Name: redisImage, Files: files, Entrypoint: []string{server}}
}
