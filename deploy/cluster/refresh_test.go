package cluster

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

var refreshRows = []row{
	{"secret-refresh", "the Secret empty at first; the fetch Job run by hand twice, and once with a key that Kustomer refuses", refresh},
}

const refreshed = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - app.yaml
components:
  - ../kubernetes/components/sidecar
  - ../kubernetes/components/secret-refresh
images:
  - name: chatidentity
    newName: registry.example.com/chatidentity
    newTag: 0.1.0
patches:
  - target: {kind: CronJob, name: kustomer-secret-fetch}
    patch: |
      - {op: add, path: /spec/jobTemplate/spec/template/spec/initContainers/0/args/-, value: "--api-url=$url"}
      - {op: add, path: /spec/jobTemplate/spec/template/spec/initContainers/0/args/-, value: "--ca-file=/etc/kustomer-api/ca.crt"}
`

func refresh(s *space) saw {
	vendor := s.startKustomer()
	s.kubectl("create", "secret", "generic", "kustomer-chat")
	s.apply(`apiVersion: v1
kind: Secret
metadata: {name: kustomer-api}
stringData: {key: an-api-key}
data: {ca.crt: ` + base64.StdEncoding.EncodeToString(vendor.ca) + "}\n")
	s.ownKustomization(strings.ReplaceAll(refreshed, "$url", vendor.url))

	p := s.awaitPods("app=shop", 1)[0]
	s.awaitReport(p, "refusals", patience, func(told report.Report) bool { return told.Failures["SECRET_UNAVAILABLE"] > 100 })
	s.kubectl("wait", "--for=condition=Complete", s.fetch(), "--timeout=2m")
	fetched := time.Now()
	s.shell(s.command("kubectl annotate pods"))
	told := s.awaitReport(p, "tokens", kubeletPeriod, func(told report.Report) bool { return told.Tokens > 0 })
	s.kubectl("wait", "--for=condition=Complete", s.fetch(), "--timeout=2m")
	asked := vendor.asked.Load()

	vendor.refuses.Store(true)
	refused := s.fetch()
	var cause string
	err := node.Await("the cause", patience, func() error {
		cause = s.kubectl("describe", "pods", "--selector", "batch.kubernetes.io/"+strings.Replace(refused, "job/", "job-name=", 1))
		if !strings.Contains(cause, "org.admin") {
			return fmt.Errorf("not told in %s", cause)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	s.kubectl("delete", "deployment", "shop")
	return saw{s.last([]pod{p}), fmt.Sprintf("tokens %s after the Job; Kustomer asked %d times by two Jobs; `kubectl describe pod` names the missing roles",
		seconds(told.FirstToken.Sub(fetched)), asked)}
}

// fetch runs the command of the page and returns the Job.
func (s *space) fetch() string {
	s.Helper()
	said := s.shell(s.command("kubectl create job --from=cronjob/kustomer-secret-fetch"))
	_, name, _ := strings.Cut(strings.Fields(said)[0], "/")
	time.Sleep(time.Second) // the next one's name is the next second's
	return "job/" + name
}

// kustomer plays the vendor's API.
type kustomer struct {
	url     string
	ca      []byte
	asked   atomic.Int64
	refuses atomic.Bool
}

func (k *kustomer) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	k.asked.Add(1)
	if k.refuses.Load() || request.URL.Path != "/v1/auth/customer/settings" || request.Header.Get("Authorization") != "Bearer an-api-key" {
		http.Error(answer, `{"errors":[{"code":"unauthorized"}]}`, http.StatusUnauthorized)
		return
	}
	answer.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(answer, `{"data":{"attributes":{"secret":%q}}}`, chatSecret)
}

func (s *space) startKustomer() *kustomer {
	s.Helper()
	authority, err := node.NewAuthority("kustomer")
	if err != nil {
		s.Fatal(err)
	}
	certificate, key, err := authority.Issue(pkix.Name{CommonName: "kustomer"}, node.Address)
	if err != nil {
		s.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		s.Fatal(err)
	}
	listener, err := net.Listen("tcp", node.Address+":0")
	if err != nil {
		s.Fatal(err)
	}
	vendor := &kustomer{url: "https://" + listener.Addr().String(), ca: authority.Certificate}
	server := &http.Server{Handler: vendor, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	go server.ServeTLS(listener, "", "")
	s.Cleanup(func() { server.Close() })
	return vendor
}
