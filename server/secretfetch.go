package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

func newSecretCommands(console *console) *cobra.Command {
	secrets := &cobra.Command{
		Use:     "secret",
		Short:   "Fetch the signing secret.",
		Example: "chatidentity secret fetch --organization acme --api-key-file key --file secret",
	}
	secrets.AddCommand(newSecretFetchCommand(console))
	return secrets
}

type secretFetchCommand struct {
	Organization string
	APIURL       string
	APIKeyFile   string
	File         string
	Manifest     string
	Namespace    string
	Timeout      time.Duration
	CAFile       string
}

func newSecretFetchCommand(console *console) *cobra.Command {
	var c secretFetchCommand
	return withFlags(&cobra.Command{
		Use:   "fetch",
		Short: "Fetch the signing secret once from Kustomer's API.",
		Long: `The API key, an administrator's, then stays out of pods: only the secret goes
there. It does not print the secret to a terminal: give --file, or redirect the
output.`,
		Example: `chatidentity secret fetch --organization acme --api-key-file key --file secret
chatidentity secret fetch --organization acme --api-key-file key \
    --manifest kustomer-chat | kubectl apply --server-side --force-conflicts -f -`,
		RunE: func(command *cobra.Command, _ []string) error { return c.run(command.Context(), console) },
	}, config.Group{Flags: []config.Flag{
		config.String(&c.Organization, "organization", "NAME", "",
			"Your organization, as in https://NAME.kustomerapp.com. Required when --api-url contains {organization}."),
		config.String(&c.APIURL, "api-url", "URL", kustomer.DefaultBaseURL, "Base URL of Kustomer's API."),
		config.Path(&c.APIKeyFile, "api-key-file", "",
			"File with an API key that has the roles org.admin and org.user; or set KUSTOMER_API_KEY."),
		config.Path(&c.File, "file", "",
			"Write the secret to this file, with mode 0600, replacing it atomically. Default: standard output."),
		config.String(&c.Manifest, "manifest", "NAME", "",
			"Write a Kubernetes Secret with this name and the key \"secret\" instead of the secret alone."),
		config.String(&c.Namespace, "namespace", "NAME", "", "Namespace of the manifest (default: none; kubectl chooses)."),
		config.Path(&c.CAFile, "ca-file", "", "CAs, in PEM, that may sign for Kustomer's API, beside the system's."),
		config.Duration(&c.Timeout, "timeout", "30s", "How long to try in all."),
	}})
}

const fetchAttempts = 5

// run fetches and writes the secret.
func (c *secretFetchCommand) run(ctx context.Context, console *console) error {
	client, err := c.client(config.TakeSecrets())
	if err != nil {
		return err
	}
	if c.File == "" && console.terminal {
		return config.Usage("secret fetch does not print the secret to a terminal: give --file PATH, or redirect the output")
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	stop := console.waitingFor(fmt.Sprintf("Kustomer's API at %s, at most %v", c.baseURL(), c.Timeout))
	settings, err := kustomer.Retry(ctx, fetchAttempts, client.Settings)
	stop()
	if err != nil {
		return fmt.Errorf("fetch the signing secret: %w", err)
	}
	fetched, err := secret.New(settings.Secret)
	if err != nil {
		return fmt.Errorf("the fetched signing secret: %w", err)
	}
	if err := c.write(console.out, fetched.Value); err != nil {
		return err
	}
	for _, doubt := range secret.Doubts(fetched.Value) {
		_, _ = fmt.Fprintf(console.err, "chatidentity: warning: the secret looks wrong: %s\n", doubt)
	}
	_, err = fmt.Fprintf(console.err, "fetched the signing secret; its secret_id is %s\n", fetched.ID)
	return err
}

func (c *secretFetchCommand) baseURL() string {
	return strings.ReplaceAll(c.APIURL, "{organization}", c.Organization)
}

func (c *secretFetchCommand) client(secrets config.Secrets) (*kustomer.Client, error) {
	switch {
	case c.APIKeyFile == "" && secrets.APIKey.Value.IsEmpty():
		return nil, config.Usage("secret fetch needs an API key: give --api-key-file, or set KUSTOMER_API_KEY")
	case c.Organization == "" && kustomer.NeedsOrganization(c.APIURL):
		return nil, config.Usage("--organization is required: it stands for {organization} in --api-url %s", c.APIURL)
	case c.Manifest != "" && !kubernetesName().MatchString(c.Manifest):
		return nil, config.Usage("--manifest %q cannot name a Kubernetes Secret: use lower-case letters, digits, - and .",
			c.Manifest)
	case c.Namespace != "" && !kubernetesName().MatchString(c.Namespace):
		return nil, config.Usage("--namespace %q cannot name a namespace: use lower-case letters, digits and -", c.Namespace)
	case c.Timeout <= 0:
		return nil, config.Usage("--timeout %v must be positive", c.Timeout)
	}
	source := config.SecretSource{
		Organization: c.Organization, APIURL: c.APIURL, APIKeyFile: c.APIKeyFile, Secrets: secrets,
		CAFile: c.CAFile,
	}
	return source.Client()
}

// kubernetesName is a DNS subdomain name, RFC 1123.
var kubernetesName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
})

func (c *secretFetchCommand) write(stdout io.Writer, value sensitive.String) error {
	text := value.Reveal() + "\n"
	if c.Manifest != "" {
		text = secretManifest(c.Manifest, c.Namespace, value)
	}
	if c.File == "" {
		_, err := io.WriteString(stdout, text)
		return err
	}
	return writeAtomically(c.File, text)
}

// secretManifest returns a Secret for kubectl apply.
func secretManifest(name, namespace string, value sensitive.String) string {
	text := "apiVersion: v1\nkind: Secret\ntype: Opaque\nmetadata:\n  name: " + name + "\n"
	if namespace != "" {
		text += "  namespace: " + namespace + "\n"
	}
	return text + "data:\n  secret: " + base64.StdEncoding.EncodeToString([]byte(value.Reveal())) + "\n"
}

// writeAtomically replaces a file, or makes it, with mode 0600.
func writeAtomically(path, text string) error {
	written, err := writeBeside(path, text, 0o600)
	if err == nil {
		defer os.Remove(written) //nolint:errcheck // gone already when all went well
		err = os.Rename(written, path)
	}
	if err != nil {
		return fmt.Errorf("--file %s: %w", path, err)
	}
	return nil
}
