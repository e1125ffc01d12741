package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/freeport"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const canaryPassword = "canary-password"

func password(text string) func() (sensitive.String, error) {
	return func() (sensitive.String, error) { return sensitive.New(text), nil }
}

// The least that the documentation says a user must be allowed.
var leastACL = []any{"~chatidentity:*", "+eval", "+evalsha", "+time", "+get", "+set"}

// addUser makes a user with those rights.
func (s *server) addUser(name, password string) {
	s.t.Helper()
	s.do(append([]any{"ACL", "SETUSER", name, "on", ">" + password}, leastACL...)...)
}

func TestRedisAccess(t *testing.T) {
	t.Parallel()
	gone := func() (sensitive.String, error) { return sensitive.String{}, errors.New("no such file") }
	for name, c := range map[string]struct {
		user     string
		password func() (sensitive.String, error)
		prefix   string
		cause    string // why it is down; empty: up
	}{
		"the least rights":       {"canary-user", password(canaryPassword), "chatidentity", ""},
		"a wrong password":       {"canary-user", password("canary-wrong"), "chatidentity", "error WRONGPASS"},
		"no password":            {"", nil, "chatidentity", "error NOAUTH"},
		"keys of somebody else":  {"canary-user", password(canaryPassword), "theirs", "error NOPERM"},
		"the file has gone away": {"canary-user", gone, "chatidentity", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			s.addUser("canary-user", canaryPassword)
			s.do("ACL", "SETUSER", "admin", "on", ">admin", "~*", "+@all")
			s.do("ACL", "SETUSER", "default", "off")
			r, log := replica(t, s, func(o *Options) {
				o.URL = "unix://" + c.user + "@" + s.socket
				if c.user == "" {
					o.URL = "unix://" + s.socket
				}
				o.Password, o.Prefix = c.password, c.prefix
			})
			if isUp := r.breaker.is(up); isUp != (c.cause == "") {
				t.Errorf("up is %v\n%s", isUp, log)
			}
			await(t, "the cause to be logged: "+c.cause, func() bool { return strings.Contains(log.String(), c.cause) })
			if strings.Contains(log.String(), "canary") {
				t.Errorf("the log says too much:\n%s", log)
			}
			if n := admitted(t, r, 20, budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))); n != 10 {
				t.Errorf("%d passed, want 10", n)
			}
		})
	}
}

// The password is read for each new connection, so its file may be replaced.
func TestRedisPasswordChanges(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	current := make(chan sensitive.String, 1)
	current <- sensitive.New("old")
	s.addUser("app", "new")
	r, log := replica(t, s, func(o *Options) {
		o.URL = "unix://app@" + s.socket
		o.Password = func() (sensitive.String, error) {
			p := <-current
			current <- p
			return p, nil
		}
	})
	if !r.breaker.is(down) {
		t.Fatalf("up with the old password:\n%s", log)
	}
	<-current
	current <- sensitive.New("new")
	await(t, "the new password to be used", func() bool { return r.breaker.is(up) })
}

func TestRedisTLS(t *testing.T) {
	t.Parallel()
	dir, roots := certificate(t)
	port := freeport.Get(t)
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	s := startServer(t, "--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
	trusting := func() (*tls.Config, error) { return &tls.Config{RootCAs: roots}, nil }
	for name, c := range map[string]struct {
		host   string
		config func() (*tls.Config, error)
		cause  string
	}{
		"its own CA":   {"localhost", trusting, ""},
		"the system's": {"localhost", nil, "certificate signed by unknown authority"},
		"another name": {"127.0.0.1", trusting, "doesn't contain any IP SANs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, log := replica(t, s, func(o *Options) { o.URL, o.TLS = "rediss://"+c.host+":"+port, c.config })
			if isUp := r.breaker.is(up); isUp != (c.cause == "") {
				t.Errorf("up is %v:\n%s", isUp, log)
			}
			await(t, "the cause to be logged: "+c.cause, func() bool { return strings.Contains(log.String(), c.cause) })
		})
	}
}

// certificate writes a certificate for localhost and its key to a directory.
func certificate(t *testing.T) (string, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return dir, roots
}

func TestOptionsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"a password in the URL":     {func(o *Options) { o.URL = "redis://app:canary@localhost" }, "holds a password"},
		"a password alone":          {func(o *Options) { o.URL = "redis://:canary@localhost" }, "holds a password"},
		"an unreadable password":    {func(o *Options) { o.URL = "redis://app:can%ary@localhost" }, "cannot be read"},
		"a password with a slash":   {func(o *Options) { o.URL = "redis://app:cana/ry@localhost" }, "cannot be read"},
		"no scheme":                 {func(o *Options) { o.URL = "localhost:6379" }, "cannot be used"},
		"another scheme":            {func(o *Options) { o.URL = "https://canary" }, "cannot be used"},
		"a database of no number":   {func(o *Options) { o.URL = "redis://localhost/canary" }, "cannot be used"},
		"skipping verification":     {func(o *Options) { o.URL = "rediss://localhost?skip_verify=true" }, `parameter "skip_verify"`},
		"a list of hosts":           {func(o *Options) { o.URL = "redis://a:1,canary:2" }, "?addr=host2:port2"},
		"a node without a port":     {func(o *Options) { o.URL = "redis://a:1?addr=canary" }, "cannot be used"},
		"a node that is empty":      {func(o *Options) { o.URL = "redis://a:1?addr=" }, "cannot be used"},
		"Sentinels of no name":      {func(o *Options) { o.URL = "redis://a:1?master_name=&addr=b:2" }, "cannot be used"},
		"a Cluster's database":      {func(o *Options) { o.URL = "redis://a:1/2?addr=b:2" }, "database 0 alone"},
		"the same otherwise":        {func(o *Options) { o.URL = "redis://a:1?addr=b:2&db=2" }, "database 0 alone"},
		"a pool's size":             {func(o *Options) { o.URL = "redis://a:1?addr=b:2&pool_size=1" }, `parameter "pool_size"`},
		"a user of its own":         {func(o *Options) { o.URL = "redis://a:1?master_name=x&username=canary" }, `parameter "username"`},
		"a password as a parameter": {func(o *Options) { o.URL = "redis://a:1?master_name=x&password=canary" }, `parameter "password"`},
		"a socket of Sentinels":     {func(o *Options) { o.URL = "unix:///s?master_name=x" }, "cannot be used"},
		"TLS without rediss":        {func(o *Options) { o.TLS = func() (*tls.Config, error) { return &tls.Config{}, nil } }, "not rediss://"},
		"no key secret":             {func(o *Options) { o.KeySecret = nil }, "key secret"},
		"no prefix":                 {func(o *Options) { o.Prefix = "" }, "prefix"},
		"a hash tag in it":          {func(o *Options) { o.Prefix = "a{b}" }, "prefix"},
		"no timeout":                {func(o *Options) { o.Timeout = 0 }, "timeout"},
		"no log":                    {func(o *Options) { o.Log = nil }, "log"},
	} {
		options := testOptions("redis://app@localhost:6379/2", &journal{})
		c.change(&options)
		_, err := New(ratelimit.NewLocal(16, ratelimit.Monotonic()), options)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error is %v, want it to say %q and no secret", name, err, c.want)
		}
	}
	for _, url := range []string{
		"redis://localhost", "redis://app@localhost:6379/2", "rediss://[::1]:6380", "unix:///run/redis.sock?db=3",
		"redis://a:1?addr=b:2", "rediss://app@a:1/0?addr=b:2&addr=[::1]:3", "redis://a?addr=a:6379",
		"redis://a:1?master_name=pods", "rediss://app@a:1/2?master_name=pods&addr=b:2", "redis://a:1?master_name=pods&db=2",
	} {
		if _, err := New(ratelimit.NewLocal(16, ratelimit.Monotonic()), testOptions(url, &journal{})); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestFailureAsText(t *testing.T) {
	t.Parallel()
	for _, want := range []Failure{FailLocal, FailClosed} {
		var got Failure
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Errorf("%s reads as %s, %v", want, got, err)
		}
	}
	var f Failure
	if err := f.UnmarshalText([]byte("open")); err == nil {
		t.Error("read \"open\"")
	}
	if s := fmt.Sprintf("%+v", testOptions("redis://localhost", nil)); strings.Contains(s, keySecret) {
		t.Error("printed options show the key secret")
	}
}
