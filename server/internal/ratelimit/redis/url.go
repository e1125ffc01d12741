package redis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

const urlForm = "want redis://[user@]host[:port][/db], rediss://… for TLS or unix:///path[?db=n]; " +
	"of a Cluster redis://host:port?addr=host2:port2, of Sentinels ?master_name=NAME&addr=host2:port2"

// place is where a URL says that Redis is.
type place struct {
	network   string   // tcp or unix
	addresses []string // of the server, of the Cluster's nodes, or of the Sentinels
	isCluster bool
	master    string // what the Sentinels call the primary; empty: there are no Sentinels
	user      string
	database  int
	isTLS     bool
}

// host is the URL's. The certificates of all servers may hold it.
func (p *place) host() string {
	host, _, _ := net.SplitHostPort(p.addresses[0])
	return host
}

// parseURL reads the forms of go-redis. Errors never repeat the URL, which may hold a password.
func parseURL(text string) (*place, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the URL cannot be read; " + urlForm)
	}
	if _, found := u.User.Password(); found {
		return nil, errors.New("the URL holds a password: put it in a file instead")
	}
	query := u.Query()
	if err := checkParameters(query); err != nil {
		return nil, err
	}
	isCluster := query.Has("addr") && !query.Has("master_name")
	if isCluster && (query.Has("db") || u.Path != "" && u.Path != "/" && u.Path != "/0") {
		return nil, errors.New("the URL names a database, but a Cluster has database 0 alone: leave it out")
	}
	p, err := parseForm(text, query)
	if err != nil || strings.Contains(u.Host, ",") {
		return nil, errors.New("the URL cannot be used; " + urlForm)
	}
	p.user, p.isTLS, p.isCluster = u.User.Username(), u.Scheme == "rediss", isCluster
	return p, nil
}

func checkParameters(query url.Values) error {
	for name := range query {
		if !slices.Contains([]string{"db", "addr", "master_name"}, name) {
			return fmt.Errorf("the URL has parameter %q; %s", name, urlForm)
		}
	}
	return nil
}

func parseForm(text string, query url.Values) (*place, error) {
	switch {
	case query.Has("master_name"):
		o, err := goredis.ParseFailoverURL(text)
		if err != nil || o.MasterName == "" {
			return nil, errors.New("no Sentinels")
		}
		return &place{network: "tcp", addresses: o.SentinelAddrs, master: o.MasterName, database: o.DB}, nil
	case query.Has("addr"):
		o, err := goredis.ParseClusterURL(text)
		if err != nil {
			return nil, err
		}
		return &place{network: "tcp", addresses: o.Addrs}, nil
	default:
		o, err := goredis.ParseURL(text)
		if err != nil {
			return nil, err
		}
		return &place{network: o.Network, addresses: []string{o.Addr}, database: o.DB}, nil
	}
}
