package main

import (
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/doctor"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// secretSetUps are about secrets, variables and addresses.
var secretSetUps = map[string]setUp{
	"nobody at the API's address": {func(_ *testing.T, p *patient) { p.flags["api-url"] = "http://127.0.0.1:1" }, want{"API": {doctor.Failed, "connection refused"}}},
	"a host that is not Kustomer's": {func(_ *testing.T, p *patient) { p.flags["api-url"] = "https://127.0.0.1:1" }, want{
		"API host": {doctor.Warning, "not below kustomerapp.com"}, "API": {doctor.Failed, "connection refused"},
	}},
	"a proxy in the way": {func(_ *testing.T, p *patient) {
		p.flags["api-url"] = "https://acme.api.kustomerapp.com"
		p.env = append(p.env, "HTTPS_PROXY=http://user:canary@127.0.0.1:1", "NO_PROXY=")
	}, want{"API": {doctor.Failed, "through the proxy 127.0.0.1:1: connection refused"}}},
	"no file of CAs": {func(_ *testing.T, p *patient) { p.flags["ca-file"] = "/no/such" }, want{"API": {doctor.Failed, "--ca-file: open /no/such"}}},
	"CAs that call nobody": {func(t *testing.T, p *patient) {
		p.secretFile(t, canarySecret)
		p.flags["ca-file"] = "/no/such"
	}, want{"flags --ca-file": {doctor.Warning, "no effect"}}},
	"the web application's page": {func(_ *testing.T, p *patient) { p.mood = standin.HTML }, want{"API": {doctor.Failed, "web page"}}},
	"Kustomer limits":            {func(_ *testing.T, p *patient) { p.mood = standin.RateLimited }, want{"API": {doctor.Failed, "budget"}}},
	"a wrong API key":            {func(_ *testing.T, p *patient) { p.vendor.APIKey = "another" }, want{"API key": {doctor.Failed, "401"}}},
	"an API key cut in two":      {func(_ *testing.T, p *patient) { p.env = []string{"KUSTOMER_API_KEY=canary key"} }, want{"API key": {doctor.Failed, "white space"}}},
	"an API key in quotes": {func(_ *testing.T, p *patient) {
		p.env = []string{`KUSTOMER_API_KEY="` + canaryAPIKey + `"`}
	}, want{"API key": {doctor.Failed, "it begins or ends with a quote"}}},
	"an API key in a file with its name": {func(t *testing.T, p *patient) {
		p.env = []string{}
		p.flags["api-key-file"] = p.write(t, "api.key", "KUSTOMER_API_KEY="+canaryAPIKey+"\n")
	}, want{"API key": {doctor.Failed, "it is a name and a value"}}},
	"a secret in quotes": {func(t *testing.T, p *patient) { p.secretFile(t, `"`+canarySecret+`"`) }, want{"signing secret": {doctor.Warning, "a quote"}}},
	"a secret in a line of JSON": {func(t *testing.T, p *patient) { p.secretFile(t, `"secret": "`+canarySecret+`",`) }, want{
		"signing secret": {doctor.Warning, "a line of JSON"},
	}},
	"a variable in quotes": {func(_ *testing.T, p *patient) { p.env = []string{"KUSTOMER_SECRET_KEY='" + canarySecret + "'"} }, want{
		"signing secret": {doctor.Warning, "a quote"}, "flags --api-url": {doctor.Warning, "no effect"},
	}},
	"no API key file": {func(_ *testing.T, p *patient) {
		p.env = []string{}
		p.flags["api-key-file"] = "/no/such"
	}, want{"API key": {doctor.Failed, "--api-key-file"}}},
	"an API key without a role": {func(_ *testing.T, p *patient) { p.vendor.Roles = []string{"org.user"} }, want{
		"API key's roles": {doctor.Warning, "org.admin and org.user"}, "signing secret": {doctor.Failed, "org.admin and org.user"},
	}},
	"roles and time not told": {func(_ *testing.T, p *patient) { p.mood = standin.MissingDate }, want{
		"API key's roles": {doctor.Warning, "does not tell"}, "clock": {doctor.Warning, "do not tell"},
	}},
	"a short secret":                   {func(_ *testing.T, p *patient) { p.vendor.Secret = "canary" }, want{"signing secret": {doctor.Warning, "32 bytes"}}},
	"a clock an hour ahead":            {func(_ *testing.T, p *patient) { p.vendor.Now = kustomersClock(-time.Hour) }, want{"clock": {doctor.Failed, "ahead of Kustomer's"}}},
	"a clock an hour late":             {func(_ *testing.T, p *patient) { p.vendor.Now = kustomersClock(time.Hour) }, want{"clock": {doctor.Failed, "behind Kustomer's"}}},
	"a clock a minute late":            {func(_ *testing.T, p *patient) { p.vendor.Now = kustomersClock(time.Minute) }, want{"clock": {doctor.Warning, "behind Kustomer's"}}},
	"emails as they come":              {func(_ *testing.T, p *patient) { p.flags["identifier-policy"] = "as-given" }, want{"identifier policy": {doctor.Warning, "not verified"}}},
	"an empty secret file":             {func(t *testing.T, p *patient) { p.secretFile(t, "\n") }, want{"signing secret": {doctor.Failed, "--secret-file"}}},
	"a secret file too large":          {func(t *testing.T, p *patient) { p.secretFile(t, strings.Repeat("canary", 1000)) }, want{"signing secret": {doctor.Failed, "4096"}}},
	"a secret with a space at its end": {func(t *testing.T, p *patient) { p.secretFile(t, canarySecret+" \n") }, want{"signing secret": {doctor.Warning, "white space"}}},
	"Kustomer's whole answer as secret": {func(t *testing.T, p *patient) {
		p.secretFile(t, `{"data":{"attributes":{"secret":"`+canarySecret+`"}}}`)
	}, want{"signing secret": {doctor.Warning, "brace"}}},
	"a secret with a mark at its start": {func(t *testing.T, p *patient) { p.secretFile(t, "\ufeff"+canarySecret) }, want{"signing secret": {doctor.Warning, "byte order mark"}}},
	"a good secret file":                {func(t *testing.T, p *patient) { p.secretFile(t, canarySecret+"\n") }, want{}},
	"no secret file": {func(t *testing.T, p *patient) {
		p.secretFile(t, canarySecret)
		p.flags["secret-file"] = "/no/such"
	}, want{"signing secret": {doctor.Failed, "/no/such"}}},
	"a directory as secret file": {func(t *testing.T, p *patient) {
		p.secretFile(t, canarySecret)
		p.flags["secret-file"] = p.directory
	}, want{"signing secret": {doctor.Failed, "not a regular file"}}},
	"a secret file that is a mount": {func(t *testing.T, p *patient) { p.asMount(t) }, want{"secret updates": {doctor.Warning, "subPath"}}},
	"another user": {func(t *testing.T, p *patient) { p.asAnotherUser(t) }, want{
		"signing secret": {doctor.Failed, "readable by user 23460"}, "audit keys": {doctor.Failed, "permission denied"},
		"audit file": {doctor.Failed, "writable for user 23460"}, "listen unix:DIR/s": {doctor.Failed, "writable for user 23460"},
	}},
	"two sources":     {func(_ *testing.T, p *patient) { p.flags["secret-file"] = "x" }, want{"": {doctor.Failed, "more than one source"}}},
	"the web address": {func(_ *testing.T, p *patient) { p.flags["api-url"] = "https://acme.kustomerapp.com" }, want{"": {doctor.Failed, "--api-url"}}},
	"a secret that every user can change": {func(t *testing.T, p *patient) {
		p.secretFile(t, canarySecret)
		chmod(t, p.path("secret"), 0o666)
	}, want{"permissions of DIR/secret": {doctor.Warning, "can change"}}},
	"an API key that every user can read": {func(t *testing.T, p *patient) {
		p.env = []string{}
		p.flags["api-key-file"] = p.write(t, "api.key", canaryAPIKey+"\n")
		chmod(t, p.path("api.key"), 0o644)
	}, want{"permissions of DIR/api.key": {doctor.Warning, "can read"}}},
	"an audit key that every user can read": {func(t *testing.T, p *patient) { chmod(t, p.path("audit.key"), 0o644) }, want{
		"permissions of DIR/audit.key": {doctor.Warning, "can read"},
	}},
	"one address for calls and administration": {func(t *testing.T, p *patient) {
		p.flags["listen"] = freeAddress(t)
		p.flags["admin-listen"] = p.flags["listen"]
	}, want{"": {doctor.Failed, "are the same address"}}},
	"one address twice":       {func(_ *testing.T, p *patient) { p.flags["listen"] = "127.0.0.1:1,127.0.0.1:1" }, want{"": {doctor.Failed, "twice"}}},
	"the network without TLS": {func(_ *testing.T, p *patient) { p.flags["listen"] = "0.0.0.0:1234" }, want{"": {doctor.Failed, "TLS"}}},
	"no socket directory":     {func(_ *testing.T, p *patient) { p.flags["listen"] = "unix:/no/such/s" }, want{"listen unix:/no/such/s": {doctor.Failed, "directory"}}},
	"a flag without effect": {func(t *testing.T, p *patient) {
		p.secretFile(t, canarySecret)
		p.flags["secret-refresh"] = "1m"
	}, want{"flags --secret-refresh": {doctor.Warning, "no signing secret comes from Kustomer's API"}}},
	"a user without a socket": {func(_ *testing.T, p *patient) { p.flags["listen"] = "127.0.0.1:0" }, want{
		"": {doctor.Failed, "--allow-uid keeps nobody out"},
	}},
	"a misspelt variable": {func(_ *testing.T, p *patient) {
		p.env = append(p.env, "CHATIDENTITY_IDENTIFIER_POLIC=x", "CHATIDENTITY_SERVICE_PORT=x", "CHATIDENTITY_PORT_1_TCP=x")
	}, want{
		"environment CHATIDENTITY_IDENTIFIER_POLIC": {doctor.Warning, "belongs to no flag"},
	}},
	"not a socket": {func(t *testing.T, p *patient) { p.flags["listen"] = "unix:" + p.write(t, "f", "") }, want{
		"listen unix:DIR/f": {doctor.Failed, "remove it"},
	}},
	"a socket directory for all": {func(t *testing.T, p *patient) { chmod(t, p.directory, 0o777) }, want{"listen unix:DIR/s": {doctor.Warning, "replace"}}},
	"an app that cannot enter":   {func(_ *testing.T, p *patient) { p.flags["allow-uid"] = "23456" }, want{"listen unix:DIR/s": {doctor.Warning, "cannot enter"}}},
	"a socket for one": {func(_ *testing.T, p *patient) { p.flags["allow-uid"], p.flags["socket-mode"] = "23456", "0600" }, want{
		"listen unix:DIR/s": {doctor.Warning, "--socket-mode"},
	}},
	"an address elsewhere": {func(_ *testing.T, p *patient) { p.flags["admin-listen"] = "192.0.2.1:1" }, want{"admin listen 192.0.2.1:1": {doctor.Failed, "of this machine"}}},
}
