package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

// pod is what the suite needs of a pod's status.
type pod struct {
	Metadata struct {
		Name              string     `json:"name"`
		UID               string     `json:"uid"`
		DeletionTimestamp *time.Time `json:"deletionTimestamp"`
	} `json:"metadata"`
	Status struct {
		Phase                 string      `json:"phase"`
		PodIP                 string      `json:"podIP"`
		InitContainerStatuses []container `json:"initContainerStatuses"`
		ContainerStatuses     []container `json:"containerStatuses"`
	} `json:"status"`
}

type container struct {
	Name         string `json:"name"`
	ContainerID  string `json:"containerID"`
	Ready        bool   `json:"ready"`
	RestartCount int    `json:"restartCount"`
}

func (p pod) containers() []container {
	return append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...)
}

func (p pod) container(name string) container {
	for _, one := range p.containers() {
		if one.Name == name {
			return one
		}
	}
	return container{}
}

func (p pod) ready() error {
	if p.Metadata.DeletionTimestamp != nil || p.Status.Phase != "Running" {
		return fmt.Errorf("%s is %s", p.Metadata.Name, p.Status.Phase)
	}
	for _, one := range p.containers() {
		if !one.Ready {
			return fmt.Errorf("%s: container %s is not ready", p.Metadata.Name, one.Name)
		}
	}
	return nil
}

// pods are those with a label.
func (s *space) pods(label string) []pod {
	s.Helper()
	var list struct{ Items []pod }
	if err := json.Unmarshal([]byte(s.kubectl("get", "pods", "--selector", label, "--output", "json")), &list); err != nil {
		s.Fatal(err)
	}
	return list.Items
}

// awaitPods waits until there are so many pods with a label, all ready and none ending.
func (s *space) awaitPods(label string, n int) []pod {
	s.Helper()
	var all []pod
	err := node.Await("pods", patience, func() error {
		all = s.pods(label)
		if len(all) != n {
			return fmt.Errorf("%d pods, want %d", len(all), n)
		}
		var problems []error
		for _, p := range all {
			problems = append(problems, p.ready())
		}
		return errors.Join(problems...)
	})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// ask returns what a pod's app has seen so far.
func (s *space) ask(p pod) report.Report {
	s.Helper()
	told, err := ask(p)
	if err != nil {
		s.Fatal(err)
	}
	return told
}

func ask(p pod) (report.Report, error) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://" + p.Status.PodIP + ":8080/report")
	if err != nil {
		return report.Report{}, err
	}
	defer answer.Body.Close()
	var told report.Report
	return told, json.NewDecoder(answer.Body).Decode(&told)
}

// awaitReport waits until a pod's app has seen what is wanted.
func (s *space) awaitReport(p pod, what string, patience time.Duration, is func(report.Report) bool) report.Report {
	s.Helper()
	var told report.Report
	err := node.Await(what, patience, func() error {
		var err error
		if told, err = ask(p); err == nil && !is(told) {
			err = fmt.Errorf("the app saw %+v", told)
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return told
}

// awaitTokens waits until each app has so many more tokens.
func (s *space) awaitTokens(pods []pod, more int) {
	s.Helper()
	for _, p := range pods {
		had := s.ask(p).Tokens
		s.awaitReport(p, "tokens", patience, func(told report.Report) bool { return told.Tokens >= had+more })
	}
}

// last returns the last reports of pods that end.
func (s *space) last(pods []pod) []report.Report {
	s.Helper()
	var all []report.Report
	for _, p := range pods {
		all = append(all, apps.await(s.T, p.Metadata.Name))
	}
	return all
}

// noFailure wants every call to have got its token.
func (s *space) noFailure(all []report.Report) {
	s.Helper()
	if total := sum(all); total.Failed() != 0 || total.Tokens == 0 {
		s.Errorf("%d of %d calls failed: %v", total.Failed(), total.Calls, total.Failures)
	}
}

// restarts wants the sidecar to have been started again so many times, and nothing else.
func (s *space) restarts(p pod, sidecar int) {
	s.Helper()
	for _, now := range s.pods("") {
		if now.Metadata.Name != p.Metadata.Name {
			continue
		}
		for _, one := range now.containers() {
			want := 0
			if strings.HasPrefix(one.Name, "chatidentity") {
				want = sidecar
			}
			if one.RestartCount != want {
				s.Errorf("%s was started again %d times, want %d", one.Name, one.RestartCount, want)
			}
		}
		return
	}
	s.Errorf("%s is gone", p.Metadata.Name)
}
