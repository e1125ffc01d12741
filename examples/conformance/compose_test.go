package conformance

import (
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// TestComposeOfAnApp reads the file of docs/install.md, which is for a real secret.
func TestComposeOfAnApp(t *testing.T) {
	t.Parallel()
	options, err := cli.NewProjectOptions([]string{root + "/deploy/compose.yaml"}, cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sidecar := project.Services["chatidentity"]
	if sidecar.NetworkMode != "service:app" || len(sidecar.Ports) != 0 || !sidecar.ReadOnly || !slices.Equal(sidecar.CapDrop, []string{"ALL"}) {
		t.Errorf("the sidecar must be confined to the app's loopback: %+v", sidecar)
	}
	if at := sidecar.Volumes[0]; len(sidecar.Command) != 3 || sidecar.Command[0] != "serve" || !strings.HasPrefix(sidecar.Command[2], at.Target+"/") {
		t.Errorf("the command %q does not read the secret of the mounted directory %q", sidecar.Command, at.Target)
	}
}

// TestCompose reads compose.yaml as Compose does. There is no engine here to
// run it.
func TestCompose(t *testing.T) {
	t.Parallel()
	options, err := cli.NewProjectOptions([]string{"../compose.yaml"}, cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
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
