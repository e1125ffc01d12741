package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// thisProgram is one with dependencies: the test itself.
func thisProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

func TestEveryModuleInTheBinaryIsListed(t *testing.T) {
	t.Parallel()
	program := thisProgram(t)
	var out bytes.Buffer
	if err := run([]string{"-version", "1.2.3", program}, &out); err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(&out, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if got := bom.Metadata.Component.Version; got != "1.2.3" {
		t.Errorf("the program's version is %q", got)
	}
	said, err := exec.Command("go", "version", "-m", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(string(said), -1) {
		want[match[1]] = match[2]
	}
	if len(want) == 0 {
		t.Fatal("go version -m lists no module")
	}
	for _, component := range *bom.Components {
		if component.Name == "std" {
			if !strings.HasPrefix(component.Version, "1.") {
				t.Errorf("Go's version is %q", component.Version)
			}
			continue
		}
		if want[component.Name] != component.Version {
			t.Errorf("%s %s, the binary has %q", component.Name, component.Version, want[component.Name])
		}
		delete(want, component.Name)
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
}

func TestTheSameBinaryGivesTheSameDocument(t *testing.T) {
	t.Parallel()
	program := thisProgram(t)
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run([]string{"-version", "1.2.3", program}, out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two documents differ")
	}
}

func TestAFileThatIsNoGoProgramIsRefused(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run([]string{"-version", "1.2.3", "main.go"}, &out); err == nil || out.Len() != 0 {
		t.Errorf("error %v, output %q", err, out.String())
	}
}
