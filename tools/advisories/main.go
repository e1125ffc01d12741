// Advisories says which of Go's security advisories a program is affected by, without a network
// other than the module proxy: the database is a module like any other, pinned here.
//
//	advisories PROGRAM
//
// It fails for an advisory that is not among the known ones, and for a known one that is gone.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/vuln/scan"
)

// The database is of the day in its version. `go list -m golang.org/x/vulndb@latest` names the newest;
// a wrong sum is told with the right one.
const (
	database    = "golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018"
	databaseSum = "h1:mfngRv0Yoh0VApsXKEN82CjD99kl7mtparN3bs3JnqI="
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: advisories PROGRAM")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "advisories:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string, out io.Writer) error {
	folder, err := fetch(ctx)
	if err != nil {
		return err
	}
	var said bytes.Buffer
	command := scan.Command(ctx, "-format", "json", "-mode", "binary",
		"-db", "file://"+filepath.ToSlash(filepath.Join(folder, "data", "osv")), program)
	command.Stdout = &said
	if err := errors.Join(command.Start(), command.Wait()); err != nil {
		return err
	}
	found, err := affecting(&said)
	if err != nil {
		return err
	}
	return judge(out, found, known)
}

// fetch returns the folder of the database, whose content is that of the sum.
func fetch(ctx context.Context) (string, error) {
	command := exec.CommandContext(ctx, "go", "mod", "download", "-json", database)
	command.Dir = os.TempDir() // no module of ours is changed
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w\n%s", database, err, out)
	}
	var module struct {
		Dir string `json:"Dir"` //nolint:tagliatelle // go's spelling
		Sum string `json:"Sum"` //nolint:tagliatelle // go's spelling
	}
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	if module.Sum != databaseSum {
		return "", fmt.Errorf("%s has the sum %s, not %s", database, module.Sum, databaseSum)
	}
	return module.Dir, nil
}

// affecting returns the advisories about code that is in the program, with where they are mended.
// govulncheck writes one value after another, and several for an advisory: of the module, the package
// and each function.
func affecting(said io.Reader) (map[string]string, error) {
	found := map[string]string{}
	decoder := json.NewDecoder(said)
	modules := 0
	for {
		var message struct {
			SBOM *struct {
				Modules []struct{} `json:"modules"`
			} `json:"SBOM"` //nolint:tagliatelle // govulncheck's spelling
			Finding *struct {
				OSV   string `json:"osv"`
				Fixed string `json:"fixed_version"`
				Trace []struct {
					Module   string `json:"module"`
					Function string `json:"function"`
				} `json:"trace"`
			} `json:"finding"`
		}
		switch err := decoder.Decode(&message); {
		case errors.Is(err, io.EOF) && modules == 0:
			return nil, errors.New("govulncheck has looked at no module")
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, err
		}
		if message.SBOM != nil {
			modules = len(message.SBOM.Modules)
		}
		if finding := message.Finding; finding != nil && len(finding.Trace) > 0 && finding.Trace[0].Function != "" {
			found[finding.OSV] = strings.TrimSpace(finding.Trace[0].Module + " " + finding.Fixed)
		}
	}
}

// judge prints each advisory, and fails unless they are the known ones.
func judge(out io.Writer, found, known map[string]string) error {
	var wrong []string
	ids := slices.Collect(mapKeys(found, known))
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		fixed, there := found[id]
		reason, expected := known[id]
		switch {
		case there && expected:
			_, _ = fmt.Fprintf(out, "known   %s, mended in %s: %s\n", id, fixed, reason)
		case there:
			_, _ = fmt.Fprintf(out, "NEW     https://pkg.go.dev/vuln/%s, mended in %s\n", id, fixed)
			wrong = append(wrong, id+" affects the program")
		default:
			wrong = append(wrong, id+" is known here and does not affect the program any more: take it out")
		}
	}
	_, _ = fmt.Fprintf(out, "%d advisories of %s\n", len(found), database)
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// mapKeys yields the keys of several maps.
func mapKeys(maps ...map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, one := range maps {
			for key := range one {
				if !yield(key) {
					return
				}
			}
		}
	}
}
