package main

import (
	"crypto/tls"
	"crypto/x509"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// clientTLSFlags are for listeners with TLS. Loopback addresses and unix sockets do not use it.
type clientTLSFlags struct {
	ServerCA   string
	ServerName string
	ClientCert string
	ClientKey  string
}

func (f *clientTLSFlags) flags() []config.Flag {
	return []config.Flag{
		config.Path(&f.ServerCA, "server-ca", "", "CA of a sidecar that listens with TLS, in PEM."),
		config.String(&f.ServerName, "server-name", "NAME", "",
			"Name that its certificate must contain, if not the host of the address."),
		config.Path(&f.ClientCert, "client-cert", "", "Certificate to present, in PEM."),
		config.Path(&f.ClientKey, "client-key", "", "Private key of --client-cert."),
	}
}

func (f *clientTLSFlags) usesTLS() bool { return *f != clientTLSFlags{} }

// credentials returns what secures the connection: nothing, unless the TLS flags are given.
func (f *clientTLSFlags) credentials() (credentials.TransportCredentials, error) {
	switch {
	case !f.usesTLS():
		return insecure.NewCredentials(), nil
	case f.ServerCA == "" || f.ClientCert == "" || f.ClientKey == "":
		return nil, config.Usage("--server-ca, --client-cert and --client-key are needed together: " +
			"give all three, or none for a listener without TLS")
	}
	authorities, err := watch.ReadFile(f.ServerCA)
	if err != nil {
		return nil, config.Usage("--server-ca: %v", err)
	}
	certificates, err := watch.ParseCertificates(authorities)
	if err != nil {
		return nil, config.Usage("--server-ca %s: %v", f.ServerCA, err)
	}
	pool := x509.NewCertPool()
	for _, authority := range certificates {
		pool.AddCert(authority)
	}
	certificate, err := f.certificate()
	if err != nil {
		return nil, config.Usage("--client-cert and --client-key: %v", err)
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: pool, Certificates: []tls.Certificate{certificate}, ServerName: f.ServerName,
	}), nil
}

func (f *clientTLSFlags) certificate() (tls.Certificate, error) {
	chain, err := watch.ReadFile(f.ClientCert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := watch.ReadFile(f.ClientKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return watch.ParseKeyPair(chain, key)
}
