package test

import (
	"strings"
	"testing"
	"time"
)

// The app's SIGTERM starts its drain, in which it goes on calling.
const drain = "1s"

func TestTheAppCallsFromItsFirstToItsLastMoment(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	app := p.startApp(appUID, nil, "-drain", drain) // as soon as the startup probe passes
	p.awaitTokens(100)
	p.terminate(app) // Kubernetes' order: the app, and when it has ended its sidecar
	told := p.reportOf(app)
	p.terminate(p.name)
	p.awaitExit(p.name)
	p.nothingLost(told, "loopback")
}

func TestOverTheSharedSocket(t *testing.T) {
	t.Parallel()
	p := newPod(t, "--listen=unix:"+socketPath, "--allow-uid="+appUID)
	app := p.startApp(appUID, []string{sidecarGID}, "-address", "unix:"+socketPath, "-drain", drain)
	p.awaitTokens(100)
	p.terminate(app)
	told := p.reportOf(app)
	p.terminate(p.name)
	p.awaitExit(p.name)
	p.nothingLost(told, "uid:"+appUID)
}

func TestAnotherUserIsRefusedOnTheSocket(t *testing.T) {
	t.Parallel()
	p := newPod(t, "--listen=unix:"+socketPath, "--allow-uid="+appUID)
	for want, groups := range map[string][]string{
		"PermissionDenied CALLER_DENIED": {sidecarGID}, // the socket's group
		"Unavailable -":                  nil,          // the kernel does not let it connect
	} {
		told := p.reportOf(p.startApp("10002", groups, "-address", "unix:"+socketPath, "-calls", "1"))
		if len(told.AuditIDs) != 0 || len(told.Failures) != 1 || !strings.HasPrefix(told.Failures[0], want) {
			t.Errorf("groups %v told %+v, want one failure: %s", groups, told, want)
		}
	}
	denied := 0
	for _, one := range p.records() {
		if one.Event == "token.issue" && one.Outcome == "PERMISSION_DENIED" && one.Reason == "CALLER_DENIED" && one.Caller == "uid:10002" {
			denied++
		}
	}
	if denied != 1 {
		t.Errorf("%d records of the refusal, want 1", denied)
	}
}

func TestAJobEndsAndItsPodWithIt(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	told := p.reportOf(p.startApp(appUID, nil, "-calls", "100")) // ends by itself
	p.terminate(p.name)
	p.awaitExit(p.name)
	if len(told.AuditIDs) != 100 {
		t.Errorf("got %d tokens of 100", len(told.AuditIDs))
	}
	p.nothingLost(told, "loopback")
}

// An ordinary container beside the app is told to stop at the same moment.
func TestTheDrainDelayServesAppsThatDrainAtTheSameTime(t *testing.T) {
	t.Parallel()
	p := newPod(t, "--drain-delay=10s")
	told := p.stopTogether()
	p.nothingLost(told, "loopback")
}

// Without the delay the same order does lose calls: the test above can fail.
func TestWithoutTheDrainDelayCallsFail(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	if told := p.stopTogether(); len(told.Failures) == 0 {
		t.Error("no call failed")
	}
}

func (p *pod) stopTogether() report {
	p.t.Helper()
	app := p.startApp(appUID, nil, "-drain", drain)
	p.awaitTokens(100)
	p.terminate(p.name, app)
	told := p.reportOf(app)
	p.awaitExit(p.name)
	return told
}

// awaitTokens waits until so many tokens are on record.
func (p *pod) awaitTokens(n int) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); len(p.issued()) < n; {
		if time.Now().After(deadline) {
			p.t.Fatalf("%d tokens, want %d", len(p.issued()), n)
		}
	}
}

// issued are the callers of the tokens on record, by audit ID.
func (p *pod) issued() map[string]string {
	p.t.Helper()
	callers := map[string]string{}
	for _, one := range p.records() {
		if one.Event != "token.issue" || one.Outcome != "OK" {
			continue
		}
		if callers[one.AuditID] != "" {
			p.t.Errorf("two records of %s", one.AuditID)
		}
		callers[one.AuditID] = one.Caller
	}
	return callers
}

// nothingLost wants no failed call, and a record for each token that the app
// got and for no other.
func (p *pod) nothingLost(told report, caller string) {
	p.t.Helper()
	if len(told.Failures) != 0 {
		p.t.Errorf("%d of %d calls failed, the first: %s", len(told.Failures), len(told.Failures)+len(told.AuditIDs), told.Failures[0])
	}
	issued := p.issued()
	if len(issued) != len(told.AuditIDs) {
		p.t.Errorf("%d tokens on record, the app has %d", len(issued), len(told.AuditIDs))
	}
	for _, id := range told.AuditIDs {
		if issued[id] != caller {
			p.t.Errorf("token %s: the record's caller is %q, want %q", id, issued[id], caller)
		}
	}
	p.t.Logf("%d tokens, none lost", len(told.AuditIDs))
}
