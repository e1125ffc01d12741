package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Tree is a checkout, without what git ignores.
type Tree struct {
	Root    string
	files   map[string]bool // and folders
	pages   map[string]*Page
	tests   map[string]string // the folder of each test
	called  string            // by CI or make proof
	targets map[string]string // of the Makefile, with their recipes
}

// OpenTree lists the files below a folder, which git knows.
func OpenTree(folder string) (*Tree, error) {
	root, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	list, err := exec.Command("git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("list the files: %w", err)
	}
	t := &Tree{
		Root: root, files: map[string]bool{}, pages: map[string]*Page{},
		tests: map[string]string{}, targets: map[string]string{},
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil { // not deleted since
			t.add(name)
		}
	}
	t.readTargets()
	return t, nil
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

func (t *Tree) add(name string) {
	for at := name; at != "."; at = path.Dir(at) {
		t.files[at] = true
	}
	if strings.HasSuffix(name, "_test.go") {
		for _, found := range testFunction.FindAllStringSubmatch(t.read(name), -1) {
			t.tests[found[1]] = path.Dir(name)
		}
	}
}

// Has tells whether there is such a file or folder.
func (t *Tree) Has(name string) bool { return name == "." || t.files[name] }

// Page is a page of the tree, read once.
func (t *Tree) Page(name string) *Page {
	if t.pages[name] == nil {
		t.pages[name] = Parse(name, []byte(t.read(name)))
	}
	return t.pages[name]
}

func (t *Tree) read(name string) string {
	content, _ := os.ReadFile(filepath.Join(t.Root, name)) // what is not there is empty
	return string(content)
}

var (
	target  = regexp.MustCompile(`(?m)^([a-z0-9-]+):(?:[^=].*)?\n((?:\t.*\n)*)`)
	ciMakes = regexp.MustCompile(`\bmake (?:--\S+ )*([a-z0-9-]+)`)
)

// readTargets finds out what CI and make proof call: the text of .ci/run, and the recipes of the
// targets that it makes.
func (t *Tree) readTargets() {
	for _, found := range target.FindAllStringSubmatch(t.read("Makefile"), -1) {
		t.targets[found[1]] += found[0]
	}
	t.called = t.read(".ci/run")
	for _, found := range ciMakes.FindAllStringSubmatch(t.called, -1) {
		t.called += t.targets[found[1]]
	}
	for name, recipe := range t.targets {
		if strings.HasPrefix(name, "proof-") {
			t.called += "make " + name + "\n" + recipe
		}
	}
}

// calls returns what is wrong with a test, make target or script that is said to run a block.
func (t *Tree) calls(holder string) error {
	name, isTarget := strings.CutPrefix(holder, "make ")
	switch folder, isTest := t.tests[holder]; {
	case isTest:
		name = t.module(folder)
		if name == "." {
			return nil // go test ./...
		}
	case isTarget:
		if t.targets[name] == "" {
			return fmt.Errorf("the Makefile has no target %s", name)
		}
		if !regexp.MustCompile(`\bmake (--\S+ )*` + name + `\b`).MatchString(t.called) {
			return fmt.Errorf("neither .ci/run nor make proof calls make %s", name)
		}
		return nil
	case !t.files[holder]:
		return fmt.Errorf("there is no test, make target or script %s", holder)
	}
	if holder != ".ci/run" && !strings.Contains(t.called, name) {
		return fmt.Errorf("neither .ci/run nor make proof calls %s", name)
	}
	return nil
}

// module is the folder of the go.mod that a package belongs to.
func (t *Tree) module(folder string) string {
	for folder != "." && !t.files[folder+"/go.mod"] {
		folder = path.Dir(folder)
	}
	return folder
}
