package doctor

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// clockSynchronized reports whether something, such as an NTP client, has told the kernel that the
// clock is right.
func clockSynchronized() (bool, error) {
	var times unix.Timex // asks, changes nothing
	state, err := unix.Adjtimex(&times)
	if err != nil {
		return false, fmt.Errorf("ask the kernel about the clock: %w", err)
	}
	return state != unix.TIME_ERROR && times.Status&unix.STA_UNSYNC == 0, nil
}

// mountPoints returns where something is mounted, for this process.
func mountPoints() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	var points []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 { // proc_pid_mountinfo(5)
			points = append(points, unescapeMount.Replace(fields[4]))
		}
	}
	return points, nil
}

// unescapeMount reverses how the kernel writes white space in a path.
var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
