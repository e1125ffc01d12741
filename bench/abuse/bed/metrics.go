package bed

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metrics are the series of one moment, by name and labels.
type Metrics map[string]float64

// Metrics asks the sidecar.
func (s *Sidecar) Metrics() (Metrics, error) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end
	m := Metrics{}
	scanner := bufio.NewScanner(answer.Body)
	for scanner.Scan() {
		at := strings.LastIndexByte(scanner.Text(), ' ')
		if at < 0 || strings.HasPrefix(scanner.Text(), "#") {
			continue
		}
		if m[scanner.Text()[:at]], err = strconv.ParseFloat(scanner.Text()[at+1:], 64); err != nil {
			return nil, err
		}
	}
	return m, scanner.Err()
}

// Refusals returns by how much each kind of refusal has grown since before:
// counters of ours that have a label for a kind, reason or limit.
func (m Metrics) Refusals(before Metrics) map[string]float64 {
	grown := map[string]float64{}
	for series, value := range m {
		name, labels, _ := strings.Cut(series, "{")
		if value <= before[series] || !strings.HasPrefix(name, "chatidentity_") || !strings.HasSuffix(name, "_total") {
			continue
		}
		for _, label := range []string{`kind="`, `reason="`, `limit="`} {
			if _, rest, found := strings.Cut(labels, label); found {
				kind, _, _ := strings.Cut(rest, `"`)
				grown[kind] += value - before[series]
			}
		}
	}
	return grown
}

// Heap returns the bytes of objects on the heap, reachable or not yet swept.
func (m Metrics) Heap() float64 { return m["go_memstats_heap_alloc_bytes"] }

// AdminURL returns where a path of the admin listener is.
func (s *Sidecar) AdminURL(path string) string { return fmt.Sprintf("http://%s%s", s.admin, path) }
