package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/doctor"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// toleration is why serve starts with a set-up that doctor calls failed.
type toleration struct {
	why    string
	silent bool // serve does not log it at its start
}

const (
	comesLater = "the secret may come later; a sidecar that does not start would keep the app from starting"
	mended     = "what is wrong in a file keeps nobody's app from starting; serve answers NOT_CONFIGURED until it is mended"
	blank      = "empty means unset: a template left it blank, and the app must start"
	recovers   = "another server's outage must not keep the app from starting; serve asks again"
)

// toleratedByServe lists every set-up with a failed check in which serve starts all the same.
var toleratedByServe = map[string]toleration{
	"nobody at the API's address":        {recovers, false},
	"a host that is not Kustomer's":      {recovers, false},
	"the web application's page":         {recovers, false},
	"a proxy in the way":                 {recovers, false},
	"no file of CAs":                     {comesLater, false},
	"Kustomer limits":                    {recovers, false},
	"a wrong API key":                    {comesLater, false},
	"an API key cut in two":              {comesLater, false},
	"an API key in quotes":               {comesLater, false},
	"an API key in a file with its name": {comesLater, false},
	"no API key file":                    {comesLater, false},
	"an API key without a role":          {comesLater, false},
	"a clock an hour ahead":              {"clocks are set while a machine runs", false},
	"a clock an hour late":               {"clocks are set while a machine runs", false},
	"no Redis":                           {recovers, false},
	"a wrong Redis password":             {recovers, false},
	"Redis that has no such database":    {recovers, false},
	"a CA of Redis that is not there":    {comesLater, false},
	"an edited record":                   {"serve goes on after the last record; `audit verify` reads all of them", true},
	"an edited record after a rotation":  {"the same", true},
	"an edited record at the end":        {"serve sets the file aside and begins a new chain", true},
	"an empty secret file":               {comesLater, false},
	"a secret file too large":            {comesLater, false},
	"a directory as secret file":         {comesLater, false},
	"no secret file":                     {comesLater, false},
	"no token file":                      {mended, false},
	"a token in clear":                   {mended, false},
	"a directory as token file":          {mended, false},
	"no TLS file":                        {mended, false},
	"another certificate's key":          {mended, false},
	"no policy file":                     {mended, false},
	"a policy of nothing":                {mended, false},
	"an empty audit key":                 {mended, false},
	"a directory as audit key":           {mended, false},
	"an audit key that is short":         {mended, false},
	"no audit directory":                 {mended, false},
	"a directory as audit file":          {mended, false},
	"not an audit file":                  {mended, false},
	"an audit file in use":               {mended, false},
	"no Redis password":                  {mended, false},
	"wrong keys and a wrong file":        {mended, true},
	"a certificate that ended":           {"a renewed one is loaded when it comes", true},
	"an issuer that is away":             {"its keys are loaded with the first token that needs them", true},
	"one organization's API away":        {recovers, false},
	"an organization without its secret, and one without its key": {comesLater, false},

	"a blank CHATIDENTITY_CALLER_TOKENS_FILE": {blank, false},
	"a blank CHATIDENTITY_POLICY_FILE":        {blank, false},
	"a blank CHATIDENTITY_ALLOW_UID":          {blank, false},
	"a blank CHATIDENTITY_AUDIT_KEY_FILE":     {blank, false},
	"a blank CHATIDENTITY_TLS_CERT":           {blank, false},
	"a blank CHATIDENTITY_TLS_KEY":            {blank, false},
	"a blank CHATIDENTITY_TLS_CLIENT_CA":      {blank, false},
}

func (p *patient) program(ctx context.Context, args ...string) *exec.Cmd {
	for _, flag := range slices.Sorted(maps.Keys(p.flags)) {
		args = append(args, "--"+flag+"="+p.flags[flag])
	}
	all := slices.Concat(p.wrap, []string{program}, args)
	c := exec.CommandContext(ctx, all[0], all[1:]...)
	c.Dir = p.directory
	c.Env = append(os.Environ(), p.env...)
	if p.user != 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.user, Gid: p.user}}
	}
	return c
}

// diagnosis is doctor's answer.
type diagnosis struct {
	code   int
	stderr string
	report doctor.Report // empty if the flags alone were refused
}

// withoutWaiting drops the line that says what doctor waits for, where it has to wait.
func withoutWaiting(said string) string {
	first, rest, _ := strings.Cut(said, "\n")
	if strings.HasPrefix(first, "waiting for ") {
		return rest
	}
	return said
}

// diagnose runs doctor and checks what holds of every answer.
func (p *patient) diagnose(t *testing.T) diagnosis {
	t.Helper()
	c := p.program(t.Context(), "doctor", "--output", "json")
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); c.ProcessState == nil {
		t.Fatal(err)
	}
	d := diagnosis{code: c.ProcessState.ExitCode(), stderr: withoutWaiting(stderr.String())}
	if text := stdout.String() + d.stderr; strings.Contains(text, "canary") || strings.Contains(text, canaryAuditKey) {
		t.Errorf("a value is shown: %s", text)
	}
	if stdout.Len() == 0 && d.code == exitUsage {
		return d
	}
	if err := json.Unmarshal(stdout.Bytes(), &d.report); err != nil {
		t.Fatalf("%v: code %d, %s%s", err, d.code, stdout.String(), d.stderr)
	}
	failed := slices.ContainsFunc(d.report.Checks, func(f doctor.Finding) bool { return f.Status == doctor.Failed })
	if d.report.OK == failed || (d.code != 0) != failed || (d.code == exitUsage) != (d.stderr != "") {
		t.Errorf("exit code %d, %q: %s", d.code, d.stderr, stdout.String())
	}
	return d
}

// found is what is not in order, by check. The kernel's word on the clock is left out: it depends on
// the machine. What the flags alone are refused for has no name.
func (d *diagnosis) found() map[string]doctor.Finding {
	found := map[string]doctor.Finding{}
	for _, f := range d.report.Checks {
		if f.Status != doctor.OK && !strings.Contains(f.Detail, "the kernel") {
			found[f.Check] = f
		}
	}
	if len(d.report.Checks) == 0 {
		found[""] = doctor.Finding{Status: doctor.Failed, Detail: d.stderr}
	}
	return found
}

// admit starts the vendor.
func (p *patient) admit(t *testing.T) {
	t.Helper()
	vendor := standin.New(p.vendor)
	vendor.SetBehaviour(p.mood)
	url, stop, err := vendor.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	if p.env != nil && p.flags["api-url"] == "" {
		p.flags["api-url"] = url
	}
}

// examine runs doctor, holds its answer against what serve does, and returns what is not in order.
func (p *patient) examine(t *testing.T, name string) map[string]doctor.Finding {
	t.Helper()
	p.admit(t)
	d := p.diagnose(t)
	p.assertAgrees(t, name, d)
	p.assertAgreesStrictly(t, name, &d)
	return d.found()
}

// assertAgreesStrictly does it again with --strict-start, if a file is wrong: serve then ends.
func (p *patient) assertAgreesStrictly(t *testing.T, name string, before *diagnosis) {
	t.Helper()
	if toleratedByServe[name].why != mended {
		return
	}
	p.flags["strict-start"] = "true"
	d := p.diagnose(t)
	p.assertAgrees(t, name+", at a strict start", d)
	if d.code != exitUsage || !maps.Equal(d.found(), before.found()) {
		t.Errorf("exit code %d; found %v, before %v", d.code, d.found(), before.found())
	}
	delete(p.flags, "strict-start")
}

// assertAgrees runs serve. Where serve ends, doctor must have said the same line with the same code.
// Where it starts, doctor must have said ok, or failed if the set-up is listed as tolerated.
func (p *patient) assertAgrees(t *testing.T, name string, d diagnosis) {
	t.Helper()
	tolerated, listed := toleratedByServe[name]
	expected := []doctor.Finding{}
	for _, f := range d.report.Checks {
		if f.Status == doctor.Failed && !tolerated.silent {
			expected = append(expected, f)
		}
	}
	s := p.startServe(t, expected)
	switch {
	case !s.started:
		if d.code != s.code || d.stderr != s.last || listed {
			t.Errorf("serve ends with %d, %q; doctor with %d, %q; listed as tolerated: %t", s.code, s.last, d.code, d.stderr, listed)
		}
	case d.code == exitUsage || (d.code == exitFailed) != listed:
		t.Errorf("serve starts; doctor ends with %d, %q; listed as tolerated: %t", d.code, d.stderr, listed)
	case !s.explained:
		t.Errorf("serve logs nothing that doctor repeats: %v\n%s", expected, s.log)
	}
}

// served is how serve began.
type served struct {
	started   bool
	explained bool   // the log has words of every expected finding
	code      int    // if it ended
	last, log string // line of standard error, and all of it
}

// startServe runs serve until it has ended, or has logged that it serves and words of every finding.
func (p *patient) startServe(t *testing.T, expected []doctor.Finding) served {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := p.program(ctx, "serve")
	pipe, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s := served{explained: len(expected) == 0}
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		s.last = lines.Text() + "\n"
		s.log += s.last
		var line struct{ Level, Msg, Error string }
		if json.Unmarshal(lines.Bytes(), &line) == nil {
			s.started = s.started || line.Msg == "serving"
			_, ofRedis, _ := strings.Cut(line.Error, "no longer shared: ")
			expected = slices.DeleteFunc(expected, func(f doctor.Finding) bool {
				return line.Level != "INFO" && slices.ContainsFunc([]string{line.Msg, line.Error, ofRedis}, func(words string) bool {
					return words != "" && strings.Contains(f.Detail, words)
				})
			})
		}
		if s.explained = len(expected) == 0; s.started && s.explained {
			break
		}
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	s.code = c.ProcessState.ExitCode()
	return s
}

// want is what is not in order, by check; DIR is the patient's directory, ADMIN its admin address.
type want map[string]expected

type expected struct {
	status doctor.Status
	detail string
}

func (p *patient) assertFound(t *testing.T, found map[string]doctor.Finding, want want) {
	t.Helper()
	for check, want := range want {
		fill := strings.NewReplacer("DIR", p.directory, "ADMIN", p.flags["admin-listen"])
		check, want.detail = fill.Replace(check), fill.Replace(want.detail)
		if got := found[check]; got.Status != want.status || !strings.Contains(got.Detail, want.detail) {
			t.Errorf("%s: %q %q, want %q %q", check, got.Status, got.Detail, want.status, want.detail)
		}
		delete(found, check)
	}
	if len(found) > 0 {
		t.Errorf("found also %v", found)
	}
}
