package conformance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// caller runs a call of docs/clients.md, which is in the file named, in a folder of its own. ROOT
// is the top of the checkout. Without run, the page's own commands run it, at the top of a checkout
// that prepare makes.
type caller struct {
	language, fence, file, prepare, run string

	deadline [2]string // in the call, and one for a busy machine
	unset    [2]string // the user in the call, and what a session without one has; "": cannot be
}

// checkout has what git knows of the contract and the examples.
const checkout = `at=$PWD && mkdir -p checkout && cd ROOT &&
	git ls-files -z --cached --others --exclude-standard proto examples/java examples/rust | xargs -0 cp --parents -t $at/checkout`

// Where a language needs much, the example's own folder has it.
var callers = []caller{
	{
		"Go", "go", "main.go",
		`cp ROOT/examples/go/go.mod ROOT/examples/go/go.sum . && sed -i 's#=> ../..#=> ROOT#' go.mod && go build -o call .`,
		"./call",
		[2]string{"time.Second", "30*time.Second"},
		[2]string{},
	},
	{
		"Python", "python", "call.py",
		`ROOT/examples/python/.venv/bin/python -c 'import grpc_status' 2>/dev/null ||
			(cd ROOT/examples/python && python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt)`,
		"PYTHONPATH=ROOT/gen/python ROOT/examples/python/.venv/bin/python call.py",
		[2]string{"timeout=1)", "timeout=30)"},
		[2]string{`"user_id"`, "None"},
	},
	{
		"Node", "js", "call.mjs",
		`npm init --yes >/dev/null &&
			npm install --silent --no-audit --no-fund ./$(npm pack --silent ROOT/gen/typescript) google-gax@6.17.0`,
		"node call.mjs",
		[2]string{"+ 1000", "+ 30000"},
		[2]string{"'user_id'", "undefined"},
	},
	{
		"Java", "java", "checkout/examples/java/src/main/java/example/Call.java",
		checkout, "",
		[2]string{"withDeadlineAfter(5,", "withDeadlineAfter(30,"},
		[2]string{},
	},
	{
		"Rust", "rust", "checkout/examples/rust/src/bin/call.rs",
		checkout + " && mkdir -p ROOT/examples/rust/target && ln -s ROOT/examples/rust/target $at/checkout/examples/rust/target", "",
		[2]string{"from_secs(1)", "from_secs(30)"},
		[2]string{},
	},
	{
		"Ruby", "ruby", "checkout/call.rb",
		checkout, "",
		[2]string{"Time.now + 1)", "Time.now + 30)"},
		[2]string{},
	},
}

// TestCallsOfTheClientsPage cuts each call out of the page and runs it three times: it prints a
// token; then, with no budget left, the reason, the audit ID and the delay; and, denied by a
// changed policy, no delay. In languages in which a user may be nothing, nobody then gets a token.
// A proxy in the environment is not asked: nothing answers there.
//
//nolint:paralleltest // the builds take both cores
func TestCallsOfTheClientsPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	binary := buildSidecar(t)
	for _, c := range callers {
		t.Run(c.language, func(t *testing.T) {
			s := &sidecar{binary: binary, socket: filepath.Join(socketDirectory(t), "s"), audit: "-"}
			folder := t.TempDir()
			allow := policyIn(t, folder)
			allow("{loopback: {organizations: all}}")
			s.serve(t, []string{"KUSTOMER_SECRET_KEY=" + secret}, "--limit-customer", "1/h:1", "--policy-file", folder+"/policy.yaml")
			text := strings.Replace(callOf(t, string(page), c), "127.0.0.1:9451", s.loopback, 1)
			writeIn(t, folder, c.file, text)
			if c.run == "" {
				c.run = "cd checkout\n" + blockOf(t, string(page), c.language, "sh")
			}
			shell := func(line string) string {
				command := exec.CommandContext(t.Context(), "bash", "-ec", strings.ReplaceAll(line, "ROOT", absolute(t, root)))
				command.Dir = folder
				out, err := command.CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
				return colours.ReplaceAllString(string(out), "")
			}
			shell(c.prepare)
			await := func(want string) string {
				var said string
				eventually(t, func() error { // a cold JVM may take too long to say who it is
					if said = strings.TrimSpace(shell("export grpc_proxy=http://127.0.0.1:1\n" + c.run)); regexp.MustCompile(want).MatchString(said) {
						return nil
					}
					return errors.New(said)
				})
				return said
			}
			token := await("^ey")
			c.run = strings.Replace(c.run, " compile ", " ", 1) // Maven has done it
			verify := exec.CommandContext(t.Context(), binary, "verify", "--output", "json", "--address", s.loopback, token)
			if verdict, err := verify.Output(); err != nil {
				t.Errorf("the token %q is not accepted: %v\n%s", token, err, verdict)
			}
			refused := await("RATE_LIMITED")
			for _, want := range []string{`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`, `(?m)^retry after 3[0-9]{3}$`} {
				if !regexp.MustCompile(want).MatchString(refused) {
					t.Errorf("a refusal does not show %s:\n%s", want, refused)
				}
			}
			allow("{}")
			if refused = await("CALLER_DENIED"); strings.Contains(refused, "retry after") {
				t.Errorf("it tells of a delay where there is none:\n%s", refused)
			}
			if c.unset[0] != "" {
				writeIn(t, folder, c.file, strings.Replace(text, c.unset[0], c.unset[1], 1))
				allow("{loopback: {organizations: all}}")
				await("INVALID_CUSTOMER")
			}
		})
	}
}

// colours are Maven's.
var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

func writeIn(t *testing.T, folder, file, text string) {
	t.Helper()
	path := filepath.Join(folder, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// policyIn returns a function that writes who may call.
func policyIn(t *testing.T, folder string) func(callers string) {
	t.Helper()
	return func(callers string) {
		t.Helper()
		file := filepath.Join(folder, "policy.yaml")
		if err := os.WriteFile(file+".new", []byte("callers: "+callers+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
}

// callOf is the code of the language's section, with a deadline for a busy machine.
func callOf(t *testing.T, page string, c caller) string {
	t.Helper()
	code := blockOf(t, page, c.language, c.fence)
	if !strings.Contains(code, c.deadline[0]) {
		t.Fatalf("the call in %s has no deadline %s", c.language, c.deadline[0])
	}
	return strings.Replace(code, c.deadline[0], c.deadline[1], 1)
}

// blockOf is the first block of the fence in the language's section.
func blockOf(t *testing.T, page, language, fence string) string {
	t.Helper()
	_, section, found := strings.Cut(page, "\n### "+language+"\n")
	section, _, _ = strings.Cut(section, "\n### ")
	_, code, fenced := strings.Cut(section, "\n```"+fence+"\n")
	code, _, ends := strings.Cut(code, "\n```\n")
	if !found || !fenced || !ends {
		t.Fatalf("docs/clients.md has no block of %s for %s", fence, language)
	}
	return code + "\n"
}
