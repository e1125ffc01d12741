package docs

import (
	"context"
	"flag"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var external = flag.Bool("external", false, "ask the links outside the repository; needs a network")

const root = "../.."

// TestMain keeps results out of go's test cache, which looks at no file outside this module.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.testlogfile", ""); err != nil {
		panic(err)
	}
	m.Run()
}

var folders = []string{"docs", "examples", "deploy", "bench"}

// pages are all that a reader is sent to.
func pages(t *Tree) []string {
	var names []string
	for name := range t.files {
		folder, _, _ := strings.Cut(name, "/")
		if filepath.Ext(name) == ".md" && (folder == name || slices.Contains(folders, folder)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// The pages run one after the other: each takes the place of the checkout.
//
//nolint:tparallel // see above
func TestPages(t *testing.T) {
	t.Parallel()
	tree := openTree(t, root)
	programs, folder := build(t), filepath.Join(t.TempDir(), "chatidentity")
	count := map[string]int{}
	for _, name := range pages(tree) { //nolint:paralleltest // see above
		t.Run(name, func(t *testing.T) {
			p := tree.Page(name)
			for _, kind := range tree.CheckBlocks(p) {
				count[kind]++
			}
			askOutside(t, tree.CheckLinks(p))
			tree.CheckCommands(p, func(words []string) string { return help(t, programs, words) })
			run(t, tree, p, folder, programs)
			for _, problem := range p.Problems {
				t.Error(problem)
			}
		})
	}
	t.Logf("code blocks: %v", count)
}

// run ends a page that takes too long.
func run(t *testing.T, tree *Tree, p *Page, folder, programs string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := tree.RunPage(ctx, p, folder, programs); err != nil {
		t.Fatal(err)
	}
}

func openTree(t *testing.T, folder string) *Tree {
	t.Helper()
	tree, err := OpenTree(folder)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// build makes the programs of which the pages speak, and returns their folder.
func build(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, arguments := range [][]string{
		{"-tags", "grpcnotrace", "-o", folder + "/chatidentity", "./server"},
		{"-modfile", "tools/grpcurl/go.mod", "-o", folder + "/grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl"},
	} {
		command := exec.CommandContext(t.Context(), "go", append([]string{"build"}, arguments...)...)
		command.Dir = root
		if said, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, said)
		}
	}
	return folder
}

// help is empty if there is no such command.
func help(t *testing.T, programs string, words []string) string {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), programs+"/chatidentity", append(words, "--help")...).Output()
	if err != nil {
		return ""
	}
	return string(said)
}

func askOutside(t *testing.T, links []Reference) {
	t.Helper()
	for _, link := range links {
		if !*external {
			return
		}
		if err := Ask(t.Context(), http.DefaultClient, link.Text); err != nil {
			t.Errorf("line %d: %v", link.Line, err)
		}
	}
}
