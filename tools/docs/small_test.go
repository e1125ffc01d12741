package docs

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each of these small pages has one thing wrong, or nothing.
var small = map[string]struct{ page, want string }{
	"a block that fails":      {"# A\n\n```sh\ntrue\n```\n\n```sh\necho so far\nfalse\n```\n", "page.md:8: this block fails: exit status 1\nso far"},
	"a failure within a pipe": {"```sh\nfalse | cat\n```\n", "page.md:2: this block fails"},
	"another exit code":       {"<!-- exit: 2 -->\n```sh\n(exit 3)\n```\n", "page.md:3: this block fails"},
	"the exit code":           {"<!-- exit: 3 -->\n```sh\n(exit 3)\n```\n", ""},
	"one shell for the page":  {"```sh\na=b\n```\n\n```sh\ntest $a = b\n```\n", ""},
	"the copy is the page's":  {"```sh\nrm page.md\n```\n", ""},
	"other output":            {"```sh\necho a\n```\n\n```text\nb\n```\n", "page.md:6: the block before prints something else:\na"},
	"output with a time":      {"```sh\necho at 2026-11-26T10:00:00.5Z: yes, no\n```\n\n```text\nat 2025-01-01T00:00:00Z: …, no\n```\n", ""},
	"a background that ends":  {"<!-- background: false -->\n```sh\necho oh; exit 4\n```\n", "page.md:3: this block fails: exit status 1\noh"},
	"a background's successor": {
		"<!-- background: test -f up -->\n```sh\ntouch up; sleep 60; false\n```\n\n" +
			"<!-- setup: first=$background -->\n<!-- background: test -f down -->\n<!-- then: ! kill -0 $first -->\n```sh\ntouch down; sleep 60\n```\n", "",
	},
	"after the block": {"<!-- then: test -f made -->\n```sh\ntouch other\n```\n", "page.md:3: this block fails"},
	"a negation":      {"<!-- then: ! test -f made -->\n```sh\ntouch made\n```\n", "page.md:3: this block fails"},
	"before it":       {"<!-- setup:\ntouch made\n-->\n```sh\nrm made\n```\n", ""},

	"neither run nor marked":  {"a\n\n```python\nprint()\n```\n", `page.md:4: a block of "python" is not run here`},
	"no language":             {"```\na\n```\n", `page.md:2: a block of "" is not run here`},
	"output of nothing":       {"```text\na\n```\n", `page.md:2: a block of "text" is not run here`},
	"indented":                {"a\n\n    b\n", "page.md:3: indented code"},
	"a reason":                {"<!-- not run: needs a cluster -->\n```python\nprint()\n```\n", ""},
	"no reason":               {"<!-- not run: -->\n```json\n{}\n```\n", "page.md:1: no such mark"},
	"an unknown mark":         {"<!-- runs by: x -->\n```sh\ntrue\n```\n", "page.md:1: no such mark"},
	"two minds":               {"<!-- not run: x -->\n<!-- exit: 1 -->\n```sh\ntrue\n```\n", "page.md:4: marked as run elsewhere or not at all"},
	"JSON that is none":       {"```json\n{\"a\": }\n```\n", "page.md:2: invalid character"},
	"YAML that is none":       {"```yaml\na: b: c\n```\n", "page.md:2: "},
	"YAML":                    {"```yaml\na: {b: c}\n```\n", ""},
	"run by a test":           {"<!-- run by: TestHere -->\n```go\npackage a\n```\n", ""},
	"no such test":            {"<!-- run by: TestThere -->\n```go\npackage a\n```\n", "page.md:3: there is no test, make target or script TestThere"},
	"a test that nobody runs": {"<!-- run by: TestAlone -->\n```go\npackage a\n```\n", "page.md:3: neither .ci/run nor make proof calls alone"},
	"run by make":             {"<!-- run by: make called -->\n```go\npackage a\n```\n", ""},
	"by a part of make proof": {"<!-- run by: make proof-long, make called -->\n```go\npackage a\n```\n", ""},
	"no such target":          {"<!-- run by: make gone -->\n```go\npackage a\n```\n", "page.md:3: the Makefile has no target gone"},
	"a target nobody makes":   {"<!-- run by: make idle -->\n```go\npackage a\n```\n", "page.md:3: neither .ci/run nor make proof calls make idle"},
	"run by a script":         {"<!-- run by: script.sh -->\n```go\npackage a\n```\n", ""},

	"a file that is gone":    {"[a](b.md)\n", "page.md:1: link b.md: there is no b.md"},
	"a heading that is gone": {"a\n[a](other.md#gone)\n", "page.md:2: link other.md#gone: other.md has no heading #gone"},
	"links that lead": {
		"# What's `new`, and_now?\n\n# Two\n\n# Two\n\n[a](#whats-new-and_now) [b](#two-1) [c](other.md#other) [d](alone) ![e](script.sh)\n", "",
	},
	"http":                 {"[a](http://example.com)\n", "page.md:1: link http://example.com: want https"},
	"from the top":         {"[a](/other.md)\n", "page.md:1: link /other.md: want https, or a path"},
	"https":                {"<https://example.com/a> and [b][c]\n\n[c]: https://example.com/" + strings.Repeat("c", 100) + "\n", ""},
	"a long line":          {"a\n" + strings.Repeat("äb ", 34) + "\n", "page.md:2: 101 columns of prose: wrap it at 100"},
	"a long line of code":  {"```sh\n: " + strings.Repeat("ab ", 50) + "\n```\n", ""},
	"a long row":           {"| a |\n|---|\n| " + strings.Repeat("ab ", 50) + " |\n", ""},
	"a target in prose":    {"Say\n`make no`.\n", "page.md:2: the Makefile has no target no"},
	"a command in prose":   {"`chatidentity gone -`\n", "page.md:1: `chatidentity gone -`: the program has no such command"},
	"a flag in prose":      {"`chatidentity issue\n--gone=1`\n", "page.md:1: `chatidentity issue --gone=1`: the command has no --gone"},
	"a test in prose":      {"`TestGone`\n", "page.md:1: there is no test TestGone"},
	"all of that as it is": {"`make called` `chatidentity issue --address a` `TestHere`\n", ""},
}

func TestSmallPages(t *testing.T) {
	t.Parallel()
	for name, test := range small {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := smallTree(t, test.page)
			p := tree.Page("page.md")
			tree.CheckBlocks(p)
			tree.CheckLinks(p)
			tree.CheckCommands(p, func(words []string) string {
				return map[string]string{"issue": "Flags: --address"}[strings.Join(words, " ")]
			})
			run(t, tree, p, filepath.Join(t.TempDir(), "copy"), t.TempDir())
			switch found := strings.Join(p.Problems, "\n"); {
			case test.want == "" && found != "":
				t.Error(found)
			case !strings.HasPrefix(found, test.want) || strings.Count(found, "page.md:") > 1:
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}

// smallTree is a checkout with a page, tests, and a CI that runs some of them.
func smallTree(t *testing.T, page string) *Tree {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"page.md":         page,
		"other.md":        "# Other\n",
		".ci/run":         "make --silent called\n",
		"Makefile":        "called: ## Help\n\tbash script.sh\nidle:\n\ttrue\nproof-long:\n\ttrue\n",
		"script.sh":       "",
		"a_test.go":       "package a\n\nfunc TestHere(t *testing.T) {}\n",
		"alone/go.mod":    "",
		"alone/a_test.go": "package a\n\nfunc TestAlone(t *testing.T) {}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said, err := exec.CommandContext(t.Context(), "git", "-C", folder, "init", "--quiet").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return openTree(t, folder)
}

func TestLinksOutsideAreAsked(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/there" {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	tree := smallTree(t, "[a]("+server.URL+"/there) [b]("+server.URL+"/gone) [c](other.md)\n")
	var answers []bool
	for _, link := range tree.CheckLinks(tree.Page("page.md")) {
		answers = append(answers, Ask(t.Context(), server.Client(), link.Text) == nil)
	}
	if !slices.Equal(answers, []bool{true, false}) {
		t.Errorf("the links are there: %v", answers)
	}
}
