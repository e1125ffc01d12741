package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/manifest"
)

type manifestCommand struct {
	manifest.Options

	AllowUID []uint32
	InPlace  bool
	Output   string
}

func newManifestCommand(console *console) *cobra.Command {
	var c manifestCommand
	return withFlags(&cobra.Command{
		Use:   "manifest [FILE...]",
		Short: "Add the sidecar to the YAML of Kubernetes workloads.",
		Long: `It reads Deployments, StatefulSets, DaemonSets, Jobs, CronJobs and Pods, alone,
in Lists or with other objects, from files or standard input, adds the sidecar
as a native one (Kubernetes 1.29 or newer), and prints the YAML. It only inserts
lines: comments and order stay, and a second run changes nothing. Standard error
lists every object: changed, or skipped and why. An object with the label or
annotation "chatidentity: skip" stays as it is, as do other kinds.

The exit code is 2, and nothing is printed, when no document is a workload or
one cannot be changed.`,
		Example: `chatidentity manifest --image registry.example.com/chatidentity:1.0.0 \
    deployment.yaml | kubectl apply --server-side -f -
chatidentity manifest --image registry.example.com/chatidentity:1.0.0 \
    --unix-socket --in-place deploy/*.yaml`,
		RunE: func(_ *cobra.Command, args []string) error { return c.run(console, args) },
	}, config.Group{Flags: []config.Flag{
		config.String(&c.Image, "image", "IMAGE", "", "The sidecar's image, in your registry. Required."),
		config.String(&c.Secret, "secret-name", "NAME", manifest.DefaultSecret,
			"Kubernetes Secret with the signing secret under the key \"secret\". The pods start without it too."),
		config.Switch(&c.UnixSocket, "unix-socket",
			"The app calls over unix:///run/chatidentity/chatidentity.sock instead of loopback, so that only it can."),
		config.String(&c.AppContainer, "app-container", "NAME", "",
			"The container that calls over the socket (default: the first)."),
		config.List(&c.AllowUID, config.ParseUserID, "allow-uid", "UID", "",
			"The user ID of that container (default: its runAsUser, or the pod's)."),
		config.String(&c.AuditKey, "audit-key-secret", "NAME", "",
			"Kubernetes Secret with the audit keys under the key \"key\". With --audit-volume and --limit-redis it is "+
				manifest.DefaultAuditKey+" unless you name another."),
		config.String(&c.AuditVolume, "audit-volume", "CLAIM", "",
			"PersistentVolumeClaim, ReadWriteMany, on which each pod keeps its audit file."),
		config.String(&c.Redis, "limit-redis", "URL", "",
			"Redis for limits that all pods share. Its password is in the Secret chatidentity-redis, key \"password\"."),
		config.Switch(&c.RedisCA, "limit-redis-private-ca",
			"That Redis has a certificate of a private CA, which is in the same Secret, key \"ca.crt\"."),
		config.Switch(&c.ReadyGated, "ready-gated",
			"The pod is ready only while a token would be issued. For apps that are of no use without chat."),
		{
			Name: "env", Placeholder: "NAME=VALUE", Set: c.addVariable,
			Help: "Another flag of serve, as its variable in the sidecar, such as CHATIDENTITY_LIMIT_CUSTOMER=1/s:20; " +
				"or a variable of OpenTelemetry or of a proxy. Once for each.",
		},
		config.Switch(&c.InPlace, "in-place", "Change the files instead of printing them."),
		outputChoice(&c.Output, "The list on standard error: text or json. auto is text."),
	}})
}

// run changes each file. It changes none unless all of them can be.
func (c *manifestCommand) run(console *console, files []string) error {
	if len(files) == 0 {
		files = []string{standardInput}
	}
	if err := c.complete(files); err != nil {
		return err
	}
	results := make([]string, len(files))
	list := []manifestChange{}
	workloads := false
	for i, file := range files {
		result, changes, err := c.add(console, file)
		if err != nil && !errors.Is(err, manifest.ErrNoWorkload) {
			return err
		}
		workloads = workloads || err == nil
		results[i] = result
		for _, change := range changes {
			list = append(list, manifestChange{source(file), change})
		}
	}
	if err := c.list(console, list); err != nil {
		return err
	}
	if !workloads {
		return config.Usage("%v", manifest.ErrNoWorkload)
	}
	if c.InPlace {
		return overwrite(files, results)
	}
	return printDocuments(console.out, results)
}

// add returns a file with sidecars. With ErrNoWorkload it is as it was.
func (c *manifestCommand) add(console *console, file string) (string, []manifest.Change, error) {
	raw, err := readManifest(console, file)
	if err != nil {
		return "", nil, err
	}
	result, changes, err := manifest.Add(raw, c.Options)
	switch {
	case errors.Is(err, manifest.ErrNoWorkload):
		return raw, changes, err
	case errors.Is(err, manifest.ErrNoUserID):
		err = config.Usage("%s: %v: --allow-uid UID, or its runAsUser", source(file), err)
	case err != nil:
		err = config.Usage("%s: %v", source(file), err)
	}
	return result, changes, err
}

var (
	imageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)
	redisURL  = regexp.MustCompile(`^rediss?://([^\s"\\$@/?:]+@)?[^\s"\\$@?]+` +
		`(\?(addr|master_name)=[A-Za-z0-9._:-]+(&(addr|master_name)=[A-Za-z0-9._:-]+)*)?$`)
)

func (c *manifestCommand) complete(files []string) error {
	switch {
	case c.Image == "":
		return config.Usage("--image is required: the sidecar's image in your registry, " +
			"such as registry.example.com/chatidentity:1.0.0")
	case !imageName.MatchString(c.Image):
		return config.Usage("--image %q is no name of an image, such as registry.example.com/chatidentity:1.0.0", c.Image)
	case c.Redis != "" && !redisURL.MatchString(c.Redis):
		return config.Usage("--limit-redis must be a URL such as rediss://chatidentity@redis.example.com:6379/0, " +
			"without a password, which goes into the Secret chatidentity-redis, and with no options but addr and master_name")
	case c.RedisCA && !strings.HasPrefix(c.Redis, "rediss://"):
		return config.Usage("--limit-redis-private-ca goes with a --limit-redis that begins with rediss://")
	case c.InPlace && slices.Contains(files, standardInput):
		return config.Usage("--in-place needs files")
	}
	for _, check := range []func() error{c.completeSocket, c.checkNames, c.checkVariables} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *manifestCommand) completeSocket() error {
	switch {
	case !c.UnixSocket && (c.AppContainer != "" || c.AllowUID != nil):
		return config.Usage("--app-container and --allow-uid go with --unix-socket")
	case len(c.AllowUID) > 1:
		return config.Usage("--allow-uid: give one user ID, that of the app's container")
	case len(c.AllowUID) == 1:
		c.Options.AllowUID = &c.AllowUID[0]
	}
	return nil
}

func (c *manifestCommand) checkNames() error {
	for _, given := range []struct{ flag, name string }{
		{"secret-name", c.Secret},
		{"app-container", c.AppContainer},
		{"audit-key-secret", c.AuditKey},
		{"audit-volume", c.AuditVolume},
	} {
		if given.name != "" && !kubernetesName().MatchString(given.name) {
			return config.Usage("--%s %q is no name of Kubernetes: use lower-case letters, digits, - and .",
				given.flag, given.name)
		}
	}
	return nil
}

// standardInput is its name on the command line.
const standardInput = "-"

func source(file string) string {
	if file == standardInput {
		return "standard input"
	}
	return file
}

// maxManifest bounds what is read of one file.
const maxManifest = 64 << 20

func readManifest(console *console, file string) (string, error) {
	in := console.in
	if file != standardInput {
		opened, err := os.Open(file) //nolint:gosec // the file that the user names
		if err != nil {
			return "", config.Usage("%v", err)
		}
		defer opened.Close() //nolint:errcheck // it was only read
		in = opened
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxManifest+1))
	if err == nil && len(raw) > maxManifest {
		err = errors.New("more than 64 MiB")
	}
	if err != nil {
		return "", config.Usage("%s: %v", source(file), err)
	}
	return string(raw), nil
}

// manifestChange is a line of the list. What the variables need comes after it.
type manifestChange struct {
	File string `json:"file"`
	manifest.Change
}

func (c *manifestCommand) list(console *console, list []manifestChange) error {
	var files []unmounted
	if slices.ContainsFunc(list, func(one manifestChange) bool { return one.Changed }) {
		files = c.unmounted()
	}
	if c.Output == "json" {
		encoder := json.NewEncoder(console.err)
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(list)
		for _, file := range files {
			err = cmp.Or(err, encoder.Encode(file))
		}
		return err
	}
	for _, one := range list {
		object := strings.TrimSpace(cmp.Or(one.Kind, "document") + " " + one.Name)
		verb := "changed"
		if !one.Changed {
			verb = "skipped"
			object += ": " + one.Why
		}
		_, err := fmt.Fprintf(console.err, "%s  %s:%d  %s\n", verb, one.File, one.Line, printable(object))
		if err != nil {
			return err
		}
	}
	for _, file := range files {
		_, err := fmt.Fprintf(console.err, "missing  %s=%s: %s\n", file.Variable, printable(file.Path), file.Why)
		if err != nil {
			return err
		}
	}
	return nil
}

// printDocuments prints files one after the other, as documents of one stream.
func printDocuments(out io.Writer, texts []string) error {
	var b strings.Builder
	for i, text := range texts {
		if i > 0 {
			if !strings.HasSuffix(texts[i-1], "\n") {
				b.WriteString("\n")
			}
			if !strings.HasPrefix(text, "---") {
				b.WriteString("---\n")
			}
		}
		b.WriteString(text)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
