package cluster

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

const heading = `| what | what was done | calls | failed | longest gap | besides |
|---|---|---|---|---|---|
`

// lines are those of the rows that passed, by name.
var lines = map[string]string{}

// addLine adds a row that passed.
func addLine(r row, seen saw) {
	all := sum(seen.apps)
	calls, failures, gap := "", "", ""
	if len(seen.apps) > 0 {
		calls, failures, gap = thousands(all.Calls), describeFailures(all), seconds(all.LongestGap)
	}
	lines[r.name] = fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", r.name, r.done, calls, failures, gap, seen.besides)
	fmt.Print(lines[r.name])
}

// sum adds what several apps saw. The gap is the longest that one of them saw.
func sum(apps []report.Report) report.Report {
	all := report.Report{Failures: map[string]int{}}
	for _, app := range apps {
		all.Calls += app.Calls
		all.Tokens += app.Tokens
		all.AfterTerm += app.AfterTerm
		all.LongestGap = max(all.LongestGap, app.LongestGap)
		for reason, n := range app.Failures {
			all.Failures[reason] += n
		}
	}
	return all
}

func describeFailures(all report.Report) string {
	if all.Failed() == 0 {
		return "0"
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(all.Failures)) {
		parts = append(parts, thousands(all.Failures[reason])+" "+reason)
	}
	return strings.Join(parts, ", ")
}

func thousands(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func seconds(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// inOrder are the lines in the order of the rows.
func inOrder(lines map[string]string) string {
	var table strings.Builder
	for _, row := range rows() {
		table.WriteString(lines[row.name])
	}
	return heading + table.String()
}

var (
	tableInPage = regexp.MustCompile(`(?s)<!-- table -->\n(.*)<!-- end of table -->`)
	lineInPage  = regexp.MustCompile(`(?m)^\| (.+?) \| .*\n`)
)

// writeTable prints the table, and with -update writes the rows that passed into README.md.
func writeTable() error {
	fmt.Print("\n", inOrder(lines), "\n")
	if !*update {
		return nil
	}
	const page = "README.md"
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	place := tableInPage.FindSubmatchIndex(text)
	if place == nil {
		return fmt.Errorf("%s has no place for the table", page)
	}
	all := map[string]string{}
	for _, line := range lineInPage.FindAllSubmatch(text[place[2]:place[3]], -1) {
		all[string(line[1])] = string(line[0])
	}
	maps.Copy(all, lines)
	when := fmt.Sprintf("Last in %s, on %d processors:\n\n", time.Now().UTC().Format("January 2006"), runtime.NumCPU())
	written := slices.Concat(text[:place[2]], []byte(when+inOrder(all)+"\n"), text[place[3]:])
	return os.WriteFile(page, written, 0o644)
}
