package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// makeCredentials makes the certificates of all who talk to each other, and a kubeconfig for each
// who talks to the API server.
func (n *Node) makeCredentials() error {
	authority, err := NewAuthority("kubernetes")
	if err != nil {
		return err
	}
	if err := os.WriteFile(n.path("pki", "ca.crt"), authority.Certificate, 0o600); err != nil {
		return err
	}
	for file, subject := range map[string]pkix.Name{
		"api":         {CommonName: "kube-apiserver"},
		"kubelet":     {CommonName: "system:node:" + Name, Organization: []string{"system:nodes"}},
		"to-kubelet":  {CommonName: "kube-apiserver", Organization: []string{"system:masters"}},
		"admin":       {CommonName: "admin", Organization: []string{"system:masters"}},
		"controllers": {CommonName: "system:kube-controller-manager"},
		"scheduler":   {CommonName: "system:kube-scheduler"},
		"accounts":    {CommonName: "service accounts"}, // its key signs their tokens
	} {
		certificate, key, err := authority.Issue(subject, Address)
		if err != nil {
			return err
		}
		if err := os.WriteFile(n.path("pki", file+".crt"), certificate, 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(n.path("pki", file+".key"), key, 0o600); err != nil {
			return err
		}
	}
	for _, user := range []string{"admin", "controllers", "scheduler", "kubelet"} {
		if err := n.writeKubeconfig(n.path(user+".conf"), user, "default"); err != nil {
			return err
		}
	}
	return nil
}

// Authority signs certificates.
type Authority struct {
	Certificate []byte // PEM
	parsed      *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority that signs itself.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := template(pkix.Name{CommonName: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{encode("CERTIFICATE", der), parsed, key}, nil
}

// Issue makes a certificate for a server at any of some addresses, which is also one for a client,
// and its key, both as PEM.
func (a *Authority) Issue(subject pkix.Name, addresses ...string) ([]byte, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := template(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	template.DNSNames = []string{"kubernetes.default.svc"}
	der, err := x509.CreateCertificate(rand.Reader, template, a.parsed, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", private), nil
}

func template(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 7),
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
