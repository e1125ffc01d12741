package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// hour is how many records an hour of the most leaves that one caller may ask for by default: 200
// calls a second. Files of 8 MiB are rotated some 50 times meanwhile.
const hour = 720_000

// podAudit is where the manifests keep the audit of a pod: the variables of the sidecar, and the
// limit of the volume. If the kubelet finds more there, it evicts the pod.
type podAudit struct {
	variables map[string]string
	sizeLimit int64
}

func podAuditOfManifests(t *testing.T) podAudit {
	t.Helper()
	text, err := os.ReadFile("../deploy/kubernetes/sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		InitContainers []struct {
			Env []struct{ Name, Value string }
		} `yaml:"initContainers"`
		Volumes []struct {
			EmptyDir struct {
				SizeLimit string `yaml:"sizeLimit"`
			} `yaml:"emptyDir"`
		}
	}
	if err := yaml.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	audit := podAudit{variables: map[string]string{}}
	for _, variable := range spec.InitContainers[0].Env {
		if strings.HasPrefix(variable.Name, "CHATIDENTITY_AUDIT_") {
			audit.variables[variable.Name] = variable.Value
		}
	}
	for _, volume := range spec.Volumes {
		if size, found := strings.CutSuffix(volume.EmptyDir.SizeLimit, "Mi"); found {
			n, err := strconv.ParseInt(size, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			audit.sizeLimit = n << 20
		}
	}
	if len(audit.variables) != 4 || audit.sizeLimit == 0 {
		t.Fatalf("read %+v", audit)
	}
	return audit
}

// Nobody reads standard output for an hour's worth of records, as when a node's container runtime is
// stopped. Tokens go on, and the volume stays under half of its limit. The proof has an hour's
// records and the very variables of the manifests. Otherwise it is a thirty-sixth of the records,
// in files of 1 MiB and a volume that is smaller too: some 8 rotations.
func TestTokensGoOnWhileNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	audit, records, least := podAuditOfManifests(t), hour, 40
	if os.Getenv("PROOF") == "" {
		audit.sizeLimit, records, least = audit.sizeLimit/16, hour/36, 6
		audit.variables["CHATIDENTITY_AUDIT_MAX_SIZE"] = "1MiB"
		audit.variables["CHATIDENTITY_AUDIT_SYNC"] = "off"
	}
	volume := t.TempDir()
	audit.variables["CHATIDENTITY_AUDIT_FILE"] = filepath.Join(volume, "audit.jsonl")
	audit.variables["CHATIDENTITY_AUDIT_TIMEOUT"] = "30s" // a test machine's disk may be busy
	key := writeFile(t, auditKey())
	s := withSecret(append(slices.Clone(unlimited), "--audit-key-file", key)...)
	for name, value := range audit.variables {
		s.env = append(s.env, name+"="+value)
	}
	unread, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	defer stdout.Close()
	s.stdout = stdout
	p := start(t, s)

	var issued, failed atomic.Int64
	stop := load(t, p, 16, func(_ *pb.IssueTokenResponse, err error) {
		if err != nil {
			failed.Add(1)
		} else {
			issued.Add(1)
		}
	})
	most := int64(0)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.Now().Add(30 * time.Minute)
	for issued.Load() < int64(records) && failed.Load() == 0 && time.Now().Before(deadline) {
		<-look.C
		most = max(most, sizeOf(t, volume))
	}
	stop()
	most = max(most, sizeOf(t, volume))
	deleted := p.metric(t, "chatidentity_audit_deleted_files_total")
	dropped := p.metric(t, "chatidentity_audit_copy_dropped_records_total")
	t.Logf("%d tokens, %d calls failed; %v files were deleted; the volume of %d KiB held %d KiB at most; the copy lacks %v records",
		issued.Load(), failed.Load(), deleted, audit.sizeLimit>>10, most>>10, dropped)
	if failed.Load() > 0 || issued.Load() < int64(records) {
		t.Errorf("%d calls failed", failed.Load())
	}
	if most > audit.sizeLimit/2 {
		t.Errorf("the volume held %d bytes of %d", most, audit.sizeLimit)
	}
	if deleted < float64(least) || dropped == 0 {
		t.Errorf("%v files were deleted and %v records left out: too few", deleted, dropped)
	}
	if began := strings.Count(p.stderr.String(), `"part":"audit_copy","event":"outage_began"`); began != 1 {
		t.Errorf("%d lines tell that nobody reads", began)
	}
	if code := p.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code, out, said := command(t, nil, "", "audit", "verify", "--audit-key-file", key, "--from-head", lastDeleted(t, p), volume); code != 0 {
		t.Errorf("what is left: code %d: %s%s", code, out, said)
	}
}

// lastDeleted is the head that the log names for what is left after the last deletion.
func lastDeleted(t *testing.T, p *running) string {
	t.Helper()
	head := ""
	for line := range strings.Lines(p.stderr.String()) {
		if strings.Contains(line, `"event":"audit_file_deleted"`) {
			_, rest, _ := strings.Cut(line, `"from_head":"`)
			head, _, _ = strings.Cut(rest, `"`)
		}
	}
	if head == "" {
		t.Fatal("no file was deleted")
	}
	return head
}

// sizeOf is what a directory holds. A file may go meanwhile.
func sizeOf(t *testing.T, directory string) int64 {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}
