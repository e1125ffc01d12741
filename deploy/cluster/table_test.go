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

var lines []string

// addLine adds a row that passed.
func addLine(r row, seen saw) {
	all := sum(seen.apps)
	calls, failures, gap := "", "", ""
	if len(seen.apps) > 0 {
		calls, failures, gap = thousands(all.Calls), describeFailures(all), seconds(all.LongestGap)
	}
	lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", r.name, r.done, calls, failures, gap, seen.besides))
	fmt.Print(lines[len(lines)-1])
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

// writeTable prints the table, and with -update writes it into README.md if every row passed.
func writeTable(passed bool) error {
	if len(lines) == 0 {
		return nil
	}
	table := heading + strings.Join(lines, "")
	fmt.Print("\n", table, "\n")
	if !*update || !passed {
		return nil
	}
	const page = "README.md"
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	block := regexp.MustCompile(`(?s)(<!-- table -->\n).*(<!-- end of table -->)`)
	if !block.Match(text) {
		return fmt.Errorf("%s has no place for the table", page)
	}
	when := fmt.Sprintf("%s, %d processors:\n\n", time.Now().UTC().Format("January 2006"), runtime.NumCPU())
	return os.WriteFile(page, []byte(block.ReplaceAllString(string(text), "${1}"+strings.ReplaceAll(when+table, "$", "$$")+"\n${2}")), 0o644)
}
