package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/doctor"
)

// eachFlag calls do with each flag of each command.
func eachFlag(command *cobra.Command, do func(*cobra.Command, *flagValue)) {
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		if value, ours := flag.Value.(*flagValue); ours {
			do(command, value)
		}
	})
	for _, child := range command.Commands() {
		eachFlag(child, do)
	}
}

// A variable that is set but blank is as one that is not set, whatever its flag; on the command
// line a blank value is refused, since there somebody wrote the flag.
func TestEmptyMeansUnsetForEveryFlag(t *testing.T) {
	rows := 0
	eachFlag(newRoot(&console{}), func(command *cobra.Command, flag *flagValue) {
		for _, blank := range []string{"", " ", "\n"} {
			rows++
			t.Setenv(flag.Variable(), blank)
			if err := completeFlags(command, nil); err != nil {
				t.Errorf("%s: %s=%q: %v", command.CommandPath(), flag.Variable(), blank, err)
			}
			origins := originsOf(command)
			if origins.Given[flag.Name] || fmt.Sprint(origins.Blank) != "["+flag.Variable()+"]" {
				t.Errorf("%s: %s=%q is given: %t; blank are %v", command.CommandPath(), flag.Variable(), blank,
					origins.Given[flag.Name], origins.Blank)
			}
			err := explain(command, command.ParseFlags([]string{"--" + flag.Name + "=" + blank}))
			if err == nil || !strings.HasPrefix(err.Error(), "--"+flag.Name+": the value is empty: give --"+flag.Name) {
				t.Errorf("%s --%s=%q: %v", command.CommandPath(), flag.Name, blank, err)
			}
		}
		if err := os.Unsetenv(flag.Variable()); err != nil { // t.Setenv restores it at the end
			t.Fatal(err)
		}
	})
	t.Logf("%d rows", rows)
}

// Every variable of serve at once, as Compose's ${X:-} sets them: the program starts and serves,
// each variable is named once, and of the gates a metric tells.
func TestServeStartsWithEveryVariableBlank(t *testing.T) {
	t.Parallel()
	env := []string{"KUSTOMER_SECRET_KEY=", "KUSTOMER_API_KEY=\n"}
	var variables []string
	for _, group := range new(config.Serve).Flags() {
		for _, flag := range group.Flags {
			switch flag.Name {
			case "secret-file", "listen", "admin-listen": // start gives them
			default:
				variables = append(variables, flag.Variable())
				env = append(env, flag.Variable()+"=")
			}
		}
	}
	p := start(t, setup{args: []string{"--secret-file", writeFile(t, testSecret+"\n")}, env: env})
	p.mustIssue(t)
	times := map[string]int{}
	for line := range strings.Lines(p.stderr.String()) {
		var said struct{ Level, Msg, Setting string }
		if json.Unmarshal([]byte(line), &said) == nil && strings.HasPrefix(said.Msg, config.BlankText) && said.Level == "WARN" {
			times[said.Setting]++
		}
	}
	for _, variable := range append(variables, "KUSTOMER_SECRET_KEY", "KUSTOMER_API_KEY") {
		if times[variable] != 1 {
			t.Errorf("%s is named %d times, want once", variable, times[variable])
		}
		delete(times, variable)
	}
	if len(times) > 0 {
		t.Errorf("named also %v", times)
	}
	_, metrics := p.get(t, "/metrics")
	for _, gate := range []string{"caller-tokens-file", "policy-file", "allow-uid", "tls-cert", "tls-key", "tls-client-ca", "audit-key-file"} {
		if want := fmt.Sprintf("chatidentity_blank_gate{flag=%q} 1\n", gate); !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
	}
}

// Serve names each variable that looks like a flag's and is not, once and without its value, as
// doctor does. Those of a client command in the same container are none, nor those of a Service.
func TestServeNamesMisspeltVariables(t *testing.T) {
	t.Parallel()
	const canary = "c2VjcmV0LWNhbmFyeQ"
	p := start(t, setup{args: []string{"--secret-file", writeFile(t, testSecret+"\n")}, env: []string{
		"CHATIDENTITY_LIMIT_CUSTOMR=" + canary, "CHATIDENTITY_SECRET=" + canary,
		"CHATIDENTITY_ADDRESS=127.0.0.1:1", "CHATIDENTITY_SERVICE_HOST=" + canary, "CHATIDENTITY_PORT_1_TCP=" + canary,
	}})
	p.mustIssue(t)
	times := map[string]int{}
	for line := range strings.Lines(p.stderr.String()) {
		var said struct{ Level, Msg, Event, Setting string }
		if json.Unmarshal([]byte(line), &said) == nil && strings.Contains(said.Msg, "belongs to no flag") {
			times[said.Level+" "+said.Event+" "+said.Setting]++
		}
	}
	want := map[string]int{
		"WARN configuration_notice CHATIDENTITY_LIMIT_CUSTOMR": 1, "WARN configuration_notice CHATIDENTITY_SECRET": 1,
	}
	for variable := range times { // of whoever runs the tests
		if _, set := os.LookupEnv(strings.TrimPrefix(variable, "WARN configuration_notice ")); set {
			delete(times, variable)
		}
	}
	if !maps.Equal(times, want) || strings.Contains(p.stderr.String(), canary) {
		t.Errorf("it names %v, want %v", times, want)
	}
}

// blankSetUps: a gate that is blank is a fault, any other variable a doubt.
func blankSetUps() map[string]setUp {
	setUps := map[string]setUp{}
	for flag, status := range map[string]doctor.Status{
		"caller-tokens-file": doctor.Failed, "policy-file": doctor.Failed, "allow-uid": doctor.Failed, "audit-key-file": doctor.Failed,
		"tls-cert": doctor.Failed, "tls-key": doctor.Failed, "tls-client-ca": doctor.Failed,
		"limit-caller": doctor.Warning, "log-level": doctor.Warning, "secret-file": doctor.Warning, "organization": doctor.Warning,
	} {
		variable := config.Flag{Name: flag}.Variable()
		setUps["a blank "+variable] = setUp{func(_ *testing.T, p *patient) {
			p.env = append(p.env, variable+"=")
			delete(p.flags, flag)
			if flag == "allow-uid" {
				p.flags["listen"] = "127.0.0.1:0"
			}
		}, want{"environment " + variable: {status, config.BlankText}}}
		if flag == "audit-key-file" {
			setUps["a blank "+variable].want["audit keys"] = expected{doctor.Warning, "no --audit-key-file"}
		}
	}
	return setUps
}

// One variable has one meaning in all commands: what one command takes all take that have the flag.
func TestAVariableHasOneMeaning(t *testing.T) {
	t.Parallel()
	byVariable := map[string][]*flagValue{}
	eachFlag(newRoot(&console{}), func(_ *cobra.Command, flag *flagValue) {
		byVariable[flag.Variable()] = append(byVariable[flag.Variable()], flag)
	})
	rows := 0
	for variable, flags := range byVariable {
		for _, text := range []string{
			"auto", "text", "table", "json", "JSON", "xml", "5s", "5", "1d", "true", "127.0.0.1:1", "unix:/run/s", "acme", "token:shop", "1000",
			"10/m", "/etc/file", "a b", "2026-11-23", "https://acme.api.kustomerapp.com", "100MiB", "0660", "warning", "-",
		} {
			rows++
			for _, flag := range flags[1:] {
				if first, other := flags[0].Flag.Set(text), flag.Flag.Set(text); (first == nil) != (other == nil) {
					t.Errorf("%s=%s: %v in one command, %v in another", variable, text, first, other)
				}
			}
		}
	}
	t.Logf("%d variables, %d rows", len(byVariable), rows)
	for _, output := range []string{"text", "table", "json", "auto"} {
		for _, args := range []string{"version", "audit find --since 24h commandline_test.go"} {
			env := []string{"CHATIDENTITY_OUTPUT=" + output}
			if code, _, stderr := command(t, env, "", strings.Fields(args)...); code != exitOK {
				t.Errorf("CHATIDENTITY_OUTPUT=%s %s: code %d, %s", output, args, code, stderr)
			}
		}
	}
}

// A client command warns too, on its only line but the answer.
func TestAClientCommandWarnsOfABlankVariable(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, []string{"CHATIDENTITY_OUTPUT= "}, "", "version")
	if code != exitOK || !strings.HasPrefix(stdout, "{") || stderr != "chatidentity: warning: CHATIDENTITY_OUTPUT: "+config.BlankText+"\n" {
		t.Errorf("code %d, output %q, error %q", code, stdout, stderr)
	}
}

// Dev tells of addresses that nobody can call before it exits, and nothing if none are given.
func TestDevExitTellsOfAddressesThatNobodyCanCall(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                           "",
		"--listen 127.0.0.1:0":       "--listen",
		"--admin-listen 127.0.0.1:0": "--admin-listen",
		"--web":                      "--web",
	} {
		code, _, stderr := command(t, nil, "", append([]string{"dev", "--exit", "--log-format", "json"}, strings.Fields(args)...)...)
		var said struct{ Msg, Setting string }
		if stderr != "" {
			if err := json.Unmarshal([]byte(stderr), &said); err != nil {
				t.Error(err)
			}
		}
		if code != exitOK || said.Setting != want {
			t.Errorf("%s: code %d, %s", args, code, stderr)
		}
	}
}
