package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

func TestDoctorFindsNothingInAHealthySetUp(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	before := p.withRecords(t)
	files, err := filepath.Glob(p.path("*"))
	if err != nil {
		t.Fatal(err)
	}
	if found := p.examine(t); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	// It has left everything as it was.
	if after, err := os.ReadFile(p.flags["audit-file"]); err != nil || string(after) != before {
		t.Errorf("the audit file is another: %v\n%s", err, after)
	}
	if left, err := filepath.Glob(p.path("*")); err != nil || !slices.Equal(left, files) {
		t.Errorf("files before %q, after %q, %v", files, left, err)
	}
	if hidden, err := filepath.Glob(p.path(".*")); err != nil || len(hidden) > 0 {
		t.Errorf("left %q, %v", hidden, err)
	}
}

// Each set-up has a fault or two, and doctor names these and nothing else.
func TestDoctorNamesTheFault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		breaks func(*testing.T, *patient)
		want   want
	}{
		"nobody at the API's address": {func(_ *testing.T, p *patient) { p.flags["api-url"] = "http://127.0.0.1:1" }, want{checkAPI: {resultFailed, "connection refused"}}},
		"the web application's page":  {func(_ *testing.T, p *patient) { p.mood = standin.HTML }, want{checkAPI: {resultFailed, "web page"}}},
		"Kustomer limits":             {func(_ *testing.T, p *patient) { p.mood = standin.RateLimited }, want{checkAPI: {resultFailed, "budget"}}},
		"a wrong API key":             {func(_ *testing.T, p *patient) { p.vendor.APIKey = "another" }, want{checkAPIKey: {resultFailed, "401"}}},
		"an API key cut in two":       {func(_ *testing.T, p *patient) { p.env = []string{"KUSTOMER_API_KEY=canary key"} }, want{checkAPIKey: {resultFailed, "white space"}}},
		"no API key file": {func(_ *testing.T, p *patient) {
			p.env = []string{}
			p.flags["api-key-file"] = "/no/such"
		}, want{checkAPIKey: {resultFailed, "--api-key-file"}}},
		"an API key without a role": {func(_ *testing.T, p *patient) { p.vendor.Roles = []string{"org.user"} }, want{
			checkAPIRoles: {resultWarning, "org.admin and org.user"}, checkSecret: {resultFailed, "org.admin and org.user"},
		}},
		"roles and time not told": {func(_ *testing.T, p *patient) { p.mood = standin.MissingDate }, want{
			checkAPIRoles: {resultWarning, "does not tell"}, checkClock: {resultWarning, "do not tell"},
		}},
		"a short secret":        {func(_ *testing.T, p *patient) { p.vendor.Secret = "canary" }, want{checkSecret: {resultWarning, "32 bytes"}}},
		"a clock an hour ahead": {func(_ *testing.T, p *patient) { p.vendor.Now = kustomersClock(-time.Hour) }, want{checkClock: {resultFailed, "ahead of Kustomer's"}}},
		"a clock an hour late":  {func(_ *testing.T, p *patient) { p.vendor.Now = kustomersClock(time.Hour) }, want{checkClock: {resultFailed, "behind Kustomer's"}}},
		"a clock a minute late": {func(_ *testing.T, p *patient) { p.vendor.Now = kustomersClock(time.Minute) }, want{checkClock: {resultWarning, "behind Kustomer's"}}},
		"emails as they come":   {func(_ *testing.T, p *patient) { p.flags["identifier-policy"] = "as-given" }, want{checkIdentifiers: {resultWarning, "not verified"}}},
		"no socket directory":   {func(_ *testing.T, p *patient) { p.flags["listen"] = "unix:/no/such/s" }, want{"listen unix:/no/such/s": {resultFailed, "directory"}}},
		"a misspelt variable": {func(_ *testing.T, p *patient) {
			p.env = append(p.env, "CHATIDENTITY_IDENTIFIER_POLIC=x", "CHATIDENTITY_SERVICE_PORT=x", "CHATIDENTITY_PORT_1_TCP=x")
		}, want{
			checkEnvironment: {resultWarning, "CHATIDENTITY_IDENTIFIER_POLIC"},
		}},
		"not a socket": {func(t *testing.T, p *patient) { p.flags["listen"] = "unix:" + p.write(t, "f", "") }, want{
			"listen unix:DIR/f": {resultFailed, "remove it"},
		}},
		"a socket directory for all": {func(t *testing.T, p *patient) { chmod(t, p.directory, 0o777) }, want{"listen unix:DIR/s": {resultWarning, "replace"}}},
		"an app that cannot enter":   {func(_ *testing.T, p *patient) { p.flags["allow-uid"] = "23456" }, want{"listen unix:DIR/s": {resultWarning, "cannot enter"}}},
		"a socket for one": {func(_ *testing.T, p *patient) { p.flags["allow-uid"], p.flags["socket-mode"] = "23456", "0600" }, want{
			"listen unix:DIR/s": {resultWarning, "--socket-mode"},
		}},
		"an address elsewhere": {func(_ *testing.T, p *patient) { p.flags["admin-listen"] = "192.0.2.1:1" }, want{"admin listen 192.0.2.1:1": {resultFailed, "of this machine"}}},
		"no audit key":         {func(_ *testing.T, p *patient) { delete(p.flags, "audit-key-file") }, want{checkAuditKeys: {resultWarning, "--audit-key-file"}}},
		"an empty audit key":   {func(t *testing.T, p *patient) { p.write(t, "audit.key", "") }, want{checkAuditKeys: {resultFailed, "audit.key: the file is empty"}}},
		"no audit directory":   {func(_ *testing.T, p *patient) { p.flags["audit-file"] = "/no/such/file" }, want{checkAuditFile: {resultFailed, "/no/such"}}},
		"an audit device":      {func(_ *testing.T, p *patient) { p.flags["audit-file"] = os.DevNull }, want{checkAuditFile: {resultWarning, "is a device"}}},
		"hardly any room":      {func(_ *testing.T, p *patient) { p.flags["audit-min-free"] = "1000000GiB" }, want{checkAuditDisk: {resultWarning, "--audit-min-free"}}},
		"an edited record": {func(t *testing.T, p *patient) {
			p.write(t, "audit.jsonl", strings.Replace(p.withRecords(t), `"outcome":"OK"`, `"outcome":"KO"`, 1))
		}, want{checkAuditChain: {resultFailed, "edited"}}},
		"an edited record after a rotation": {func(t *testing.T, p *patient) {
			_, rest, _ := strings.Cut(p.withRecords(t), "\n")
			_, more, _ := strings.Cut(p.withRecords(t), rest)
			p.write(t, "audit.jsonl", rest+strings.Replace(more, `"seq":3`, `"seq":4`, 1))
		}, want{checkAuditChain: {resultFailed, "line 2"}}},
		"a torn record":     {func(t *testing.T, p *patient) { p.write(t, "audit.jsonl", strings.TrimSuffix(p.withRecords(t), "\n")) }, want{checkAuditChain: {resultWarning, "middle of a record"}}},
		"not an audit file": {func(t *testing.T, p *patient) { p.write(t, "audit.jsonl", "notes\n") }, want{checkAuditFile: {resultFailed, "not an audit file"}}},
		"another audit key": {func(t *testing.T, p *patient) { p.withRecords(t); p.write(t, "audit.key", randomText()) }, want{checkAuditChain: {resultWarning, "below the current one"}}},
		"limits in shadow":  {func(_ *testing.T, p *patient) { p.flags["limit-mode"] = "shadow" }, want{checkLimits: {resultWarning, "enforce"}}},
		"no customer limit": {func(_ *testing.T, p *patient) { p.flags["limit-customer"] = "off" }, want{checkLimits: {resultWarning, "--limit-customer"}}},
		"no caller limit":   {func(_ *testing.T, p *patient) { p.flags["limit-caller"] = "off" }, want{checkLimits: {resultWarning, "--limit-caller"}}},
		"no Redis":          {func(_ *testing.T, p *patient) { p.flags["limit-redis"] = "redis://127.0.0.1:1" }, want{checkRedis: {resultFailed, "connection refused"}}},
		"no Redis password": {func(_ *testing.T, p *patient) {
			p.flags["limit-redis"], p.flags["limit-redis-password-file"] = "redis://127.0.0.1:1", "/no/such"
		}, want{checkRedis: {resultFailed, "--limit-redis-password-file"}}},
		"a password in a URL": {func(_ *testing.T, p *patient) { p.flags["limit-redis"] = "redis://:" + canaryPassword + "@127.0.0.1:1" }, want{checkRedis: {resultFailed, "password"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t)
			test.breaks(t, p)
			p.assertFound(t, test.want)
		})
	}
}

func kustomersClock(ahead time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(ahead) }
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
