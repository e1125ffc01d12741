package validate

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// The probe of ready-gated runs in the sidecar's container, whose memory it shares: it must fit into
// a quarter of the limit. It is looked at while it waits for the answer.
func TestTheReadinessProbeFits(t *testing.T) {
	t.Parallel()
	program := compile(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sidecar := sidecarsOf(t, render(t, "ready-gated"))[0]
	arguments := slices.Clone(sidecar.ReadinessProbe.Exec.Command[1:])
	for i, argument := range arguments {
		arguments[i] = strings.Replace(argument, "127.0.0.1:9452", listener.Addr().String(), 1)
	}
	var said strings.Builder
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadRequest(bufio.NewReader(connection)); err != nil {
		t.Fatal(err)
	}
	most := peakOf(t, command.Process.Pid)
	fmt.Fprint(connection, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\nsecret of default: none\n")
	connection.Close()
	if err := command.Wait(); command.ProcessState.ExitCode() != 1 || said.String() != "NOT_SERVING: secret of default: none\n" {
		t.Errorf("%v: %s", err, said.String())
	}
	limit := sidecar.Resources.Limits[corev1.ResourceMemory]
	if most > limit.Value()/4 {
		t.Errorf("the probe takes %d bytes of a limit of %d", most, limit.Value())
	}
	t.Logf("the probe takes %d KiB", most>>10)
}

// peakOf is the most memory that a process has had, in bytes.
func peakOf(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if size, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.Fields(size)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
