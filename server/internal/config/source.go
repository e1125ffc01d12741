package config

import (
	"cmp"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// The environment variables that hold secrets. Flags never do: other users can read a process's
// arguments.
const (
	secretKeyVariable = "KUSTOMER_SECRET_KEY"
	apiKeyVariable    = "KUSTOMER_API_KEY" //nolint:gosec // the name of a variable
)

// defaultOrganization is the name of the default organization when --organization gives none.
const defaultOrganization = "default"

// SecretSource says where one organization's signing secret comes from: a file, an environment
// variable, or Kustomer's API. Another organization's source is never made from a copy of this one,
// which would sign with this one's secret.
type SecretSource struct {
	Organization string
	SecretFile   string
	APIKeyFile   string
	APIURL       string
	CAFile       string
	SecretTimes

	Secrets Secrets // from the environment
	Place   string  // in the policy file; empty: the flags name the source
}

// SecretTimes apply to the secrets of all organizations.
type SecretTimes struct {
	SecretRefresh  time.Duration
	SecretMaxStale time.Duration
	MaxClockSkew   time.Duration
}

func (s *SecretSource) flags() Group {
	return Group{
		"Signing secret", []Flag{
			String(&s.Organization, "organization", "NAME", "",
				"Name of the default organization (default: default). "+
					"Required with an API key when --api-url contains {organization}."),
			Path(&s.SecretFile, "secret-file", "",
				"File with the signing secret, reloaded when it changes. Recommended. Give exactly one source: this, "+
					"--api-key-file, KUSTOMER_SECRET_KEY or KUSTOMER_API_KEY."),
			Path(&s.APIKeyFile, "api-key-file", "",
				"File with an API key that may read the signing secret (roles org.admin and org.user)."),
			String(&s.APIURL, "api-url", "URL", kustomer.DefaultBaseURL, "Base URL of Kustomer's API."),
			Path(&s.CAFile, "ca-file", "",
				"CAs, in PEM, that may sign for Kustomer's API and for the URLs of issuers' keys, beside the system's."),
			Duration(&s.SecretRefresh, "secret-refresh", "5m", "How often to read the secret from the API; at least 1s."),
			Duration(&s.SecretMaxStale, "secret-max-stale", "24h",
				"How long to use the last secret from the API while the API fails; at least --secret-refresh."),
			Duration(&s.MaxClockSkew, "max-clock-skew", "5m", "How far the clock may differ from Kustomer's: 1s to 15m."),
		},
	}
}

// Secrets are the environment variables that hold an organization's secret.
type Secrets struct {
	SecretKey Variable // the signing secret itself
	APIKey    Variable // a key for Kustomer's API
}

// Variable is an environment variable. Its value prints as "[redacted]".
type Variable struct {
	Name  string // empty: it is not set
	Value sensitive.String
}

// isSet reports whether it has a value. A blank one is none.
func (v Variable) isSet() bool { return !IsBlank(v.Value.Reveal()) }

// lookup reads a variable of the environment.
func lookup(name string) Variable {
	text, found := os.LookupEnv(name)
	if !found {
		return Variable{}
	}
	return Variable{name, secret.Text(text)}
}

// TakeSecrets reads the default organization's secrets and removes them from the environment, so
// that nothing that prints the environment or passes it on has them.
func TakeSecrets() Secrets {
	secrets := Secrets{SecretKey: lookup(secretKeyVariable), APIKey: lookup(apiKeyVariable)}
	_ = os.Unsetenv(secretKeyVariable) // fails only for malformed names
	_ = os.Unsetenv(apiKeyVariable)
	return secrets
}

// blank returns the names of the variables that are set but have no value.
func (s *Secrets) blank() []string {
	var names []string
	for _, variable := range []Variable{s.SecretKey, s.APIKey} {
		if variable.Name != "" && !variable.isSet() {
			names = append(names, variable.Name)
		}
	}
	return names
}

// DevSecrets returns those of `dev`: the stand-in's API key.
func DevSecrets(apiKey sensitive.String) Secrets {
	return Secrets{APIKey: Variable{apiKeyVariable, apiKey}}
}

// UsesAPI reports whether the secret comes from Kustomer's API.
func (s *SecretSource) UsesAPI() bool { return s.APIKeyFile != "" || s.Secrets.APIKey.isSet() }

// Given returns the names of the flags and variables that name a source, in order.
func (s *SecretSource) Given() []string {
	var names []string
	for name, given := range map[string]bool{
		"--secret-file":          s.SecretFile != "",
		"--api-key-file":         s.APIKeyFile != "",
		s.Secrets.SecretKey.Name: s.Secrets.SecretKey.isSet(),
		s.Secrets.APIKey.Name:    s.Secrets.APIKey.isSet(),
	} {
		if given {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// validate checks the source that the flags name, and fills in the organization.
func (s *SecretSource) validate() error {
	if err := s.validateChoice(); err != nil {
		return err
	}
	if s.UsesAPI() {
		if err := s.validateURL(); err != nil {
			return err
		}
	}
	s.Organization = cmp.Or(s.Organization, defaultOrganization)
	return nil
}

func (s *SecretSource) validateChoice() error {
	given, blank := s.Given(), s.Secrets.blank()
	switch {
	case len(given) == 0 && len(blank) > 0:
		return Usage("%s is empty: set it to the value, or unset it and give --secret-file", strings.Join(blank, ", "))
	case len(given) == 0:
		return Usage("no source of the signing secret: give --secret-file (recommended), KUSTOMER_SECRET_KEY, " +
			"--api-key-file or KUSTOMER_API_KEY; or try `chatidentity dev`")
	case len(given) > 1:
		return Usage("%s: more than one source of the signing secret: give one", strings.Join(given, ", "))
	}
	return nil
}

func (s *SecretSource) validateURL() error {
	if s.Organization == "" && kustomer.NeedsOrganization(s.APIURL) {
		return Usage("--organization is required: it stands for {organization} in --api-url %s", s.APIURL)
	}
	if _, err := kustomer.ParseBaseURL(s.APIURL, s.Organization); err != nil {
		return Usage("--api-url: %v", err)
	}
	return nil
}

func (t *SecretTimes) validate() error {
	switch {
	case t.SecretRefresh < time.Second:
		return Usage("--secret-refresh %v must be at least 1s", t.SecretRefresh)
	case t.SecretMaxStale < t.SecretRefresh:
		return Usage("--secret-max-stale %v must be at least --secret-refresh (%v)", t.SecretMaxStale, t.SecretRefresh)
	case t.MaxClockSkew < time.Second || t.MaxClockSkew > 15*time.Minute:
		return Usage("--max-clock-skew %v must be from 1s to 15m, the life of a token", t.MaxClockSkew)
	default:
		return nil
	}
}

// Open returns the secret. Options give the log and what keeps the secret current: the follower a
// file's, the asker the API's; without them, it is read once or not at all. Validate has been called
// before. A file that is missing or empty is not an error: it may be mounted or fetched later, and a
// sidecar that does not start would keep the app in its pod from starting.
func (s *SecretSource) Open(options secret.Options) (*secret.Store, error) {
	source := secret.Source{Value: s.Secrets.SecretKey.Value, File: s.SecretFile}
	if s.UsesAPI() {
		client, closeKey, err := s.client(options)
		if err != nil {
			return nil, err
		}
		source.API = &secret.API{
			Client: client, Close: closeKey,
			Refresh: s.SecretRefresh, MaxStale: s.SecretMaxStale, MaxClockSkew: s.MaxClockSkew,
		}
	}
	options.Organization, options.Setting = s.Organization, s.Setting("--secret-file")
	store, err := secret.Open(options, source)
	if err != nil {
		return nil, Usage("%s: %v", strings.Join(s.Given(), ", "), err)
	}
	return store, nil
}

// Client returns a client of Kustomer's API, with the key that a file holds now. A file without a
// key is not an error here: each call of the client reports it.
func (s *SecretSource) Client() (*kustomer.Client, error) {
	client, _, err := s.client(secret.Options{})
	return client, err
}

// KeyDoubts returns the reasons to doubt the API key as it is now.
func (s *SecretSource) KeyDoubts() []string {
	key := s.Secrets.APIKey.Value
	if s.APIKeyFile != "" {
		key, _ = secret.ReadText(s.APIKeyFile) // whoever uses the key says why it cannot be read
	}
	return secret.KeyDoubts(key)
}

// warnOfKey returns a function that logs the doubts about each new API key.
func warnOfKey(log *slog.Logger, setting string) func(sensitive.String, error) {
	var last string
	return func(key sensitive.String, _ error) {
		if log == nil || key.Reveal() == last {
			return
		}
		last = key.Reveal()
		for _, doubt := range secret.KeyDoubts(key) {
			log.Warn("the API key is doubtful: "+doubt, "event", "api_key_doubtful", "setting", setting)
		}
	}
}

// client also returns what ends the following of the API key's file.
func (s *SecretSource) client(options secret.Options) (*kustomer.Client, func(), error) {
	baseURL, err := kustomer.ParseBaseURL(s.APIURL, s.Organization)
	if err != nil {
		return nil, nil, Usage("--api-url: %v", err)
	}
	key, closeKey := func() (sensitive.String, error) { return s.Secrets.APIKey.Value, nil }, func() {}
	if s.APIKeyFile != "" {
		setting := s.Setting("--api-key-file")
		file := followText(options.Follower, "api_key", setting, s.APIKeyFile, warnOfKey(options.Logger, setting))
		key, closeKey = file.Current, file.Close
	} else {
		warnOfKey(options.Logger, s.Secrets.APIKey.Name)(s.Secrets.APIKey.Value, nil)
	}
	client, err := kustomer.NewClient(kustomer.Options{
		BaseURL: baseURL, APIKey: key, Transport: newTransport(s.CAFile), Now: options.Now,
	})
	return client, closeKey, err
}

// Setting says where the operator names a file: the flag, or the place in the policy file.
func (s *SecretSource) Setting(flag string) string { return cmp.Or(s.Place, flag) }

// followText returns the value of a file that holds one secret text.
func followText(
	follower *watch.Follower, kind, setting, path string, looked func(sensitive.String, error),
) *watch.Value[sensitive.String] {
	return watch.New(follower, watch.Options[sensitive.String]{
		Kind: kind, Setting: setting, Paths: []string{path}, Parse: secret.ParseText, Looked: looked,
	})
}
