package redis

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/freeport"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// Whatever keeps Redis from deciding is told with what to do about it, in the same words by a check
// before a rollout and in the log while it serves, and nothing that a server says is repeated.
func TestWhatIsWrongIsTold(t *testing.T) {
	t.Parallel()
	port := func(t *testing.T, args ...string) (*server, string) {
		t.Helper()
		p := freeport.Get(t)
		return startServer(t, append([]string{"--port", p, "--bind", "127.0.0.1"}, args...)...), "redis://127.0.0.1:" + p
	}
	as := func(o *Options, user string) {
		o.URL = strings.Replace(o.URL, "://", "://"+user+"@", 1)
		o.Password = password(canaryPassword)
	}
	user := func(rights ...any) func(*testing.T, *Options) {
		return func(t *testing.T, o *Options) {
			var s *server
			s, o.URL = port(t)
			s.do(append([]any{"ACL", "SETUSER", "app", "on", ">" + canaryPassword}, rights...)...)
			as(o, "app")
		}
	}
	says := func(reply string) func(*testing.T, *Options) {
		return func(t *testing.T, o *Options) { o.URL = liar(t, reply+"\r\n") }
	}
	secure := func(t *testing.T, o *Options, clients string) {
		directory, roots := certificate(t)
		cert, key, p := filepath.Join(directory, "cert"), filepath.Join(directory, "key"), freeport.Get(t)
		startServer(t, "--tls-port", p, "--tls-auth-clients", clients,
			"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
		o.URL = "rediss://localhost:" + p
		o.TLS = func() (*tls.Config, error) { return &tls.Config{RootCAs: roots}, nil }
	}
	for name, c := range map[string]struct {
		prepare func(*testing.T, *Options)
		want    string
	}{
		"a replica": {func(t *testing.T, o *Options) {
			var s *server
			s, o.URL = port(t)
			s.do("REPLICAOF", "127.0.0.1", "1")
			s.do("CONFIG", "SET", "replica-serve-stale-data", "yes")
		}, "READONLY: it is a replica"},
		"a replica without its primary": {func(t *testing.T, o *Options) {
			var s *server
			s, o.URL = port(t)
			s.do("REPLICAOF", "127.0.0.1", "1")
			s.do("CONFIG", "SET", "replica-serve-stale-data", "no")
		}, "MASTERDOWN: it is a replica"},
		"a node of a Cluster": {func(t *testing.T, o *Options) {
			nodes := startCluster(t)
			o.URL = "redis://" + nodes[0].address
			for _, n := range nodes { // one that does not hold our keys
				if strings.HasPrefix(n.replyTo("GET", "chatidentity:{limits}:x"), "MOVED") {
					o.URL = "redis://" + n.address
				}
			}
		}, "MOVED: it is a node of a Cluster, and another one holds our keys: give all nodes, as redis://host:port?addr=host2:port2"},
		"a database of a Cluster's node": {func(t *testing.T, o *Options) {
			_, o.URL = port(t, "--cluster-enabled", "yes", "--cluster-port", freeport.Get(t))
			o.URL += "/1"
		}, "leave the database out of the URL"},
		"a Cluster that is down": {func(t *testing.T, o *Options) {
			_, o.URL = port(t, "--cluster-enabled", "yes", "--cluster-port", freeport.Get(t))
		}, "CLUSTERDOWN: the Cluster is down"},
		"a Cluster of which no node is there": {func(_ *testing.T, o *Options) { o.URL = "redis://127.0.0.1:1?addr=127.0.0.1:2" }, "connection refused"},
		"a Cluster that moves the slot":       {says("-ASK 1234 127.0.0.1:1"), "ASK: the Cluster is moving our keys"},
		"a Cluster with half the keys moved":  {says("-TRYAGAIN Multiple keys request during rehashing of slot"), "TRYAGAIN: the Cluster is moving our keys"},

		"a wrong password": {func(t *testing.T, o *Options) {
			var s *server
			s, o.URL = port(t)
			s.addUser("app", "another")
			as(o, "app")
		}, "WRONGPASS: the user or the password is wrong"},
		"an unknown user": {func(t *testing.T, o *Options) { _, o.URL = port(t); as(o, "nobody") }, "WRONGPASS: the user or the password is wrong"},
		"no password":     {func(t *testing.T, o *Options) { _, o.URL = port(t, "--requirepass", "canary") }, "NOAUTH: it wants a password: give the file"},
		"a password too many": {func(t *testing.T, o *Options) {
			_, o.URL = port(t)
			o.Password = password(canaryPassword)
		}, ""},
		"a password that an old server refuses": {func(t *testing.T, o *Options) {
			says("-ERR AUTH <password> called without any password configured for the default user.")(t, o)
			o.Password = password(canaryPassword)
		}, "its default user has no password"},
		"database 1 without +select": {func(t *testing.T, o *Options) {
			user(leastACL...)(t, o)
			o.URL += "/1"
		}, "NOPERM: its user may not choose a database: allow it +select, or use database 0"},
		"database 1 with +select": {func(t *testing.T, o *Options) {
			user(append(leastACL, "+select")...)(t, o)
			o.URL += "/1"
		}, ""},
		"no scripts":           {user("~chatidentity:*", "+time", "+get", "+set"), "NOPERM: its user may not run scripts: allow it +eval +evalsha"},
		"scripts alone":        {user("~chatidentity:*", "+eval", "+evalsha"), "its user lacks a right within scripts: allow it +time +get +set"},
		"keys of another":      {user("~others:*", "+eval", "+evalsha", "+time", "+get", "+set"), "NOPERM: its user may not use our keys: allow it ~PREFIX:*"},
		"no such database":     {func(t *testing.T, o *Options) { _, o.URL = port(t); o.URL += "/99" }, "it has no such database"},
		"memory that is full":  {func(t *testing.T, o *Options) { _, o.URL = port(t, "--maxmemory", "1") }, "OOM: its memory is full"},
		"too few replicas":     {func(t *testing.T, o *Options) { _, o.URL = port(t, "--min-replicas-to-write", "1") }, "NOREPLICAS: it refuses to write"},
		"a full house":         {says("-ERR max number of clients reached"), "it has no connection free: raise maxclients"},
		"protected mode":       {says("-DENIED Redis is running in protected mode because protected mode is enabled"), "DENIED: it is in protected mode"},
		"data that is loading": {says("-LOADING Redis is loading the dataset in memory"), "LOADING: it is still loading"},
		"a disk that is full":  {says("-MISCONF Redis is configured to save RDB snapshots"), "MISCONF: it cannot save"},
		"a script that hangs":  {says("-BUSY Redis is busy running a script."), "BUSY: a script of somebody else"},
		"no scripts at all":    {says("-ERR unknown command 'evalsha', with args beginning with:"), "it runs no scripts"},

		"a client certificate wanted": {func(t *testing.T, o *Options) { secure(t, o, "yes") }, "client certificate"},
		"a certificate of nobody":     {func(t *testing.T, o *Options) { secure(t, o, "no"); o.TLS = nil }, "give the CA that signed it"},
		"TLS where there is none": {func(t *testing.T, o *Options) {
			_, o.URL = port(t)
			o.URL = strings.Replace(o.URL, "redis:", "rediss:", 1)
		}, "if it does not speak TLS, use redis://"},
		"TLS where there is a web page": {func(t *testing.T, o *Options) {
			o.URL = strings.Replace(liar(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "redis:", "rediss:", 1)
		}, "it does not speak TLS: use redis://"},
		"none where there is TLS": {func(t *testing.T, o *Options) {
			secure(t, o, "no")
			o.URL, o.TLS = strings.Replace(o.URL, "rediss:", "redis:", 1), nil
		}, "if it speaks TLS, use rediss://"},
		"a file that is gone": {func(t *testing.T, o *Options) {
			secure(t, o, "no")
			o.TLS = func() (*tls.Config, error) { return nil, http.ErrMissingFile }
		}, "the TLS files cannot be read"},

		"not Redis at all": {func(t *testing.T, o *Options) {
			web := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(web.Close)
			o.URL = "redis://" + web.Listener.Addr().String()
		}, "not an answer of redis: check the host and the port"},
		"nobody there":     {func(_ *testing.T, o *Options) { o.URL = "redis://127.0.0.1:1" }, "connection refused"},
		"a host of nobody": {func(_ *testing.T, o *Options) { o.URL = "redis://no-such-host.invalid:6379" }, "the host name cannot be resolved"},

		"a Sentinel as the server": {func(t *testing.T, o *Options) {
			o.URL = "redis://" + startSentinel(t, false, nil)
		}, "if it is a Sentinel, add ?master_name=NAME"},
		"a server as the Sentinel": {func(t *testing.T, o *Options) {
			_, o.URL = port(t)
			o.URL += "?master_name=pods"
		}, "it is not a Sentinel: give the address of one, or leave out master_name"},
		"a name that no Sentinel knows": {func(t *testing.T, o *Options) {
			o.URL = "redis://" + startSentinel(t, false, nil) + "?master_name=pods"
		}, "the Sentinel knows no primary of that name"},
		"a Sentinel that wants a password": {func(t *testing.T, o *Options) {
			o.URL = "redis://" + startSentinel(t, false, []string{"requirepass canary"}) + "?master_name=pods"
		}, "no Sentinel names the primary: error NOAUTH: it wants a password"},
		"a primary that is away": {func(t *testing.T, o *Options) {
			o.URL = "redis://" + startSentinel(t, false, []string{"sentinel monitor pods 127.0.0.1 1 2"}) + "?master_name=pods&addr=127.0.0.1:2"
		}, "connection refused"},
		"a Sentinel that lies": {func(t *testing.T, o *Options) {
			o.URL = liar(t, "*10000000000\r\n") + "?master_name=pods"
		}, "not an answer of redis"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &journal{}
			options := testOptions("", log)
			c.prepare(t, &options)
			limiter, err := New(ratelimit.NewLocal(16, ratelimit.Monotonic()), options)
			if err != nil {
				t.Fatal(err)
			}
			_, err = limiter.Check(t.Context())
			r, log := replica(t, nil, func(o *Options) { log := o.Log; *o = options; o.Log = log })
			if c.want == "" {
				if err != nil || !r.breaker.is(up) {
					t.Errorf("error %v, log %s", err, log)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("the check says %v, want %q", err, c.want)
			}
			await(t, "the cause in the log", func() bool { return strings.Contains(log.String(), "does not answer") })
			if said := strings.ReplaceAll(log.String(), `\"`, `"`); !strings.Contains(said, c.want) || strings.Contains(said, "canary") {
				t.Errorf("the log says %s, want %q", said, c.want)
			}
		})
	}
}
