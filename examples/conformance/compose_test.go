package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// TestComposeOfAnApp does what docs/install.md says of the file for a real secret, as far as that
// goes without an engine: the service's command runs as the image's user in the directories that
// the page's commands make. The app's user gets a token, and no other.
func TestComposeOfAnApp(t *testing.T) {
	t.Parallel()
	needRoot(t)
	project := projectOf(t, root+"/deploy/compose.yaml")
	service := project.Services["chatidentity"]
	if len(service.Ports) != 0 || !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) {
		t.Errorf("the sidecar must be confined: %+v", service)
	}
	page, err := os.ReadFile(root + "/docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "<!-- run by: TestComposeOfAnApp -->\n```sh\n")
	prepare, issue, found := strings.Cut(block, "docker compose up --detach\ndocker compose exec --user 10001 chatidentity ")
	issue, _, ends := strings.Cut(issue, "\n```")
	if !found || !ends {
		t.Fatal("the page does not start it and ask for a token")
	}

	folder := socketDirectory(t)
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	writeIn(t, folder, "kustomer.secret", secret)
	shell := exec.Command("bash", "-ec", "sudo() { \"$@\"; }\n"+prepare)
	shell.Dir = folder
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	inContainer := []string{"--admin-listen=:9452", "--admin-listen=127.0.0.1:0"}
	for _, volume := range service.Volumes {
		inContainer = append(inContainer, volume.Target, filepath.Join(folder, filepath.Base(volume.Source)))
	}
	outside := strings.NewReplacer(inContainer...)
	program := filepath.Join(folder, "chatidentity")
	if err := os.Rename(buildSidecar(t), program); err != nil {
		t.Fatal(err)
	}
	as := func(user uint32, args ...string) *exec.Cmd {
		for i, arg := range args {
			args[i] = outside.Replace(arg)
		}
		command := exec.Command(program, args...)
		command.Env = []string{"CHATIDENTITY_ADDRESS=" + outside.Replace(*service.Environment["CHATIDENTITY_ADDRESS"])}
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		return command
	}

	serve := as(65532, slices.Clone(service.Command)...)
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = serve.Process.Kill(); _ = serve.Wait() })
	eventually(t, func() error { return as(65532, slices.Clone(service.HealthCheck.Test[2:])...).Run() })
	if out, err := as(10001, strings.Fields(issue)[1:]...).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "ey") {
		t.Errorf("the app's user gets no token: %v: %s", err, out)
	}
	if out, err := as(10002, strings.Fields(issue)[1:]...).CombinedOutput(); err == nil || !strings.Contains(string(out), "CALLER_DENIED") {
		t.Errorf("another user: %v: %s", err, out)
	}
	if app := project.Services["app"]; app.User != "10001" || app.Volumes[0].Source != service.Volumes[1].Source ||
		*app.Environment["CHATIDENTITY_ADDRESS"] != *service.Environment["CHATIDENTITY_ADDRESS"] {
		t.Errorf("the app does not call as the page's commands do: %+v", app)
	}
	_, verify, _ := strings.Cut(string(page), "`docker compose exec\n  chatidentity ")
	verify, _, _ = strings.Cut(verify, "`")
	if out, err := as(65532, strings.Fields(verify)[1:]...).CombinedOutput(); err != nil {
		t.Errorf("the records do not verify: %v: %s", err, out)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Getuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal("CI must be root, to be other users")
	default:
		t.Skip("it needs root, to be other users")
	}
}

func projectOf(t *testing.T, file string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestCompose reads compose.yaml as Compose does. There is no engine here to
// run it.
func TestCompose(t *testing.T) {
	t.Parallel()
	project := projectOf(t, "../compose.yaml")
	sidecar, app := project.Services["chatidentity"], project.Services["app"]
	if sidecar.Build == nil || !slices.Equal(sidecar.Command, []string{"dev"}) {
		t.Errorf("the sidecar is built from %v and runs %q, want this checkout and dev", sidecar.Build, sidecar.Command)
	}
	if app.NetworkMode != "service:chatidentity" || len(app.Ports) != 0 {
		t.Errorf("the app's network is %q with ports %v, want the sidecar's", app.NetworkMode, app.Ports)
	}
	for _, port := range sidecar.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("port %d is open on %q, want loopback alone", port.Target, port.HostIP)
		}
	}
	if address := app.Environment["CHATIDENTITY_ADDRESS"]; address == nil || !strings.HasPrefix(*address, "127.0.0.1:") {
		t.Error("the app must call the sidecar over loopback")
	}
}
