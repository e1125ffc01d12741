package main

import (
	"os"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/doctor"
)

// auditSetUps are about records, and about limits.
var auditSetUps = map[string]setUp{
	"no audit key":               {func(_ *testing.T, p *patient) { delete(p.flags, "audit-key-file") }, want{"audit keys": {doctor.Warning, "--audit-key-file"}}},
	"an empty audit key":         {func(t *testing.T, p *patient) { p.write(t, "audit.key", "") }, want{"audit keys": {doctor.Failed, "audit.key: the file is empty"}}},
	"no audit directory":         {func(_ *testing.T, p *patient) { p.flags["audit-file"] = "/no/such/file" }, want{"audit file": {doctor.Failed, "/no/such"}}},
	"an audit device":            {func(_ *testing.T, p *patient) { p.flags["audit-file"] = os.DevNull }, want{"audit file": {doctor.Warning, "is a device"}}},
	"a directory as audit file":  {func(_ *testing.T, p *patient) { p.flags["audit-file"] = p.directory }, want{"audit file": {doctor.Failed, "not a regular file"}}},
	"a directory as audit key":   {func(_ *testing.T, p *patient) { p.flags["audit-key-file"] = p.directory }, want{"audit keys": {doctor.Failed, "not a regular file"}}},
	"an audit key that is short": {func(t *testing.T, p *patient) { p.write(t, "audit.key", "Y2FuYXJ5\n") }, want{"audit keys": {doctor.Failed, "--audit-key-file"}}},
	"wrong keys and a wrong file": {func(t *testing.T, p *patient) { p.write(t, "audit.key", "!\n"); p.flags["audit-file"] = p.directory }, want{
		"audit keys": {doctor.Failed, "--audit-key-file"}, "audit file": {doctor.Failed, "not a regular file"},
	}},
	"an audit file in use": {func(t *testing.T, p *patient) { p.serve(t) }, want{"audit file": {doctor.Failed, "in use"}}},
	"hardly any room":      {func(_ *testing.T, p *patient) { p.flags["audit-min-free"] = "1000000GiB" }, want{"audit disk": {doctor.Warning, "--audit-min-free"}}},
	"an edited record": {func(t *testing.T, p *patient) {
		p.write(t, "audit.jsonl", strings.Replace(p.withRecords(t), `"outcome":"OK"`, `"outcome":"KO"`, 1))
	}, want{"audit chain": {doctor.Failed, "edited"}}},
	"an edited record at the end": {func(t *testing.T, p *patient) {
		records := p.withRecords(t)
		last := strings.LastIndex(records, `"OK"`)
		p.write(t, "audit.jsonl", records[:last]+`"KO"`+records[last+len(`"OK"`):])
	}, want{"audit chain": {doctor.Failed, "edited"}}},
	"an edited record after a rotation": {func(t *testing.T, p *patient) {
		_, rest, _ := strings.Cut(p.withRecords(t), "\n")
		_, more, _ := strings.Cut(p.withRecords(t), rest)
		p.write(t, "audit.jsonl", rest+strings.Replace(more, `"seq":3`, `"seq":4`, 1))
	}, want{"audit chain": {doctor.Failed, "line 2"}}},
	"a torn record":     {func(t *testing.T, p *patient) { p.write(t, "audit.jsonl", strings.TrimSuffix(p.withRecords(t), "\n")) }, want{"audit chain": {doctor.Warning, "middle of a record"}}},
	"not an audit file": {func(t *testing.T, p *patient) { p.write(t, "audit.jsonl", "notes\n") }, want{"audit file": {doctor.Failed, "not an audit file"}}},
	"another audit key": {func(t *testing.T, p *patient) { p.withRecords(t); p.write(t, "audit.key", randomText()) }, want{"audit chain": {doctor.Warning, "below the current one"}}},
	"limits in shadow":  {func(_ *testing.T, p *patient) { p.flags["limit-mode"] = "shadow" }, want{"limits": {doctor.Warning, "enforce"}}},
	"no customer limit": {func(_ *testing.T, p *patient) { p.flags["limit-customer"] = "off" }, want{"limits": {doctor.Warning, "--limit-customer"}}},
	"no caller limit":   {func(_ *testing.T, p *patient) { p.flags["limit-caller"] = "off" }, want{"limits": {doctor.Warning, "--limit-caller"}}},
	"no Redis":          {func(_ *testing.T, p *patient) { p.flags["limit-redis"] = "redis://127.0.0.1:1" }, want{"Redis": {doctor.Failed, "connection refused"}}},
	"no Redis password": {func(_ *testing.T, p *patient) {
		p.flags["limit-redis"], p.flags["limit-redis-password-file"] = "redis://127.0.0.1:1", "/no/such"
	}, want{"Redis": {doctor.Failed, "--limit-redis-password-file"}}},
	"a password in a URL":             {func(_ *testing.T, p *patient) { p.flags["limit-redis"] = "redis://:" + canaryPassword + "@127.0.0.1:1" }, want{"Redis": {doctor.Failed, "password"}}},
	"Redis that has no such database": {func(t *testing.T, p *patient) { p.withRedis(t); p.flags["limit-redis"] += "?db=99" }, want{"Redis": {doctor.Failed, "it has no such database: correct the number in the URL"}}},
	"a CA of Redis that is not there": {func(_ *testing.T, p *patient) {
		p.flags["limit-redis"], p.flags["limit-redis-ca"] = "rediss://127.0.0.1:1", "/no/such"
	}, want{"Redis": {doctor.Failed, "/no/such"}}},
	"a URL that is not Redis'": {func(_ *testing.T, p *patient) { p.flags["limit-redis"] = "https://127.0.0.1:1" }, want{"Redis": {doctor.Failed, "--limit-redis"}}},
	"a limit in words":         {func(_ *testing.T, p *patient) { p.flags["limit-caller"] = "many" }, want{"": {doctor.Failed, "--limit-caller"}}},
	"a wrong Redis password": {func(t *testing.T, p *patient) {
		p.withRedis(t)
		p.write(t, "password", "canary-wrong\n")
	}, want{"Redis": {doctor.Failed, "WRONGPASS"}}},
	"Redis": {func(t *testing.T, p *patient) { p.withRedis(t) }, want{}},
}
