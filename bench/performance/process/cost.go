package process

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU returns the time that the process has spent on CPUs so far, in user and kernel mode.
func (p *Process) CPU() (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.PID()))
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := bytes.Cut(text, []byte(" "))
		nanoseconds, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", task, err)
		}
		total += time.Duration(nanoseconds)
	}
	if total == 0 {
		return 0, errors.New("the kernel counts no CPU time (schedstat)")
	}
	return total, nil
}

// The memory that a process holds, as /proc calls it.
const (
	Resident     = "VmRSS:"
	ResidentPeak = "VmHWM:"
)

// Memory returns one of the sizes above, in MiB.
func (p *Process) Memory(field string) (float64, error) {
	return number(fmt.Sprintf("/proc/%d/status", p.PID()), field, 1.0/1024)
}

// Peak follows a process to its end and returns the most memory that it held, in MiB. The kernel's
// own answer (ru_maxrss) begins with what the parent held when it started the process.
func Peak(pid int) float64 {
	const every = 10 * time.Millisecond
	path, most := fmt.Sprintf("/proc/%d/status", pid), 0.0
	for {
		held, err := number(path, ResidentPeak, 1.0/1024)
		if err != nil { // it has ended
			return most
		}
		most = max(most, held)
		time.Sleep(every)
	}
}

// SystemCalls returns how often the process has called read and write so far, in all their forms.
func (p *Process) SystemCalls() (float64, error) {
	path := fmt.Sprintf("/proc/%d/io", p.PID())
	reads, err := number(path, "syscr:", 1)
	if err != nil {
		return 0, err
	}
	writes, err := number(path, "syscw:", 1)
	return reads + writes, err
}

func number(path, field string, unit float64) (float64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 1 && words[0] == field {
			value, err := strconv.ParseFloat(words[1], 64)
			return value * unit, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, field)
}

// Metrics returns all series of the admin listener, by name and labels.
func (p *Process) Metrics() (map[string]float64, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + p.Admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end
	series := map[string]float64{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		if series[lines.Text()[:at]], err = strconv.ParseFloat(lines.Text()[at+1:], 64); err != nil {
			return nil, err
		}
	}
	return series, lines.Err()
}
