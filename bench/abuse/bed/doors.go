package bed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/chatidentity/chatidentity/bench/abuse/attack"
)

// Door is a way in.
type Door string

// The doors.
const (
	Unix     Door = "unix"
	Loopback Door = "loopback"
	Token    Door = "token" // over loopback
	MTLS     Door = "mTLS"
	Admin    Door = "admin"
)

// Who comes, seen from the good caller.
type Who string

// Callers.
const (
	Good     Who = "good"     // itself
	Stranger Who = "stranger" // a user ID that is not listed; no token; no certificate
	Other    Who = "other"    // another listed user ID, another token, another certificate
	Same     Who = "same"     // on plain loopback, where nobody can be told apart
)

// Args returns the flags that callers at the door need.
func (b *Bed) Args(door Door) []string {
	switch door {
	case Token:
		return []string{"--caller-tokens-file", b.path("tokens")}
	case Loopback: // all are one caller there, and its limit would refuse the good one too
		return []string{"--limit-caller", "off"}
	default:
		return nil
	}
}

// Dial returns a connection of the good caller.
func (s *Sidecar) Dial(door Door, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	target, transport := "passthrough:///"+s.loopback, insecure.NewCredentials()
	switch door {
	case Unix, Admin:
		target = "unix:" + s.socket
	case Token:
		options = append(options, grpc.WithPerRPCCredentials(bearer{}))
	case MTLS:
		config, err := s.bed.clientTLS()
		if err != nil {
			return nil, err
		}
		target, transport = "passthrough:///"+s.secured, credentials.NewTLS(config)
	case Loopback:
	}
	return grpc.NewClient(target, append(options, grpc.WithTransportCredentials(transport))...)
}

func (b *Bed) clientTLS() (*tls.Config, error) {
	pair, err := tls.X509KeyPair(b.good.Certificate, b.good.Key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(b.authority.certificate)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}, nil
}

// bearer shows the good caller's token.
type bearer struct{}

func (bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + goodToken}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

// Target fills in where and as whom a raw client comes, and returns the user ID
// that it needs.
func (s *Sidecar) Target(spec attack.Spec, door Door, who Who) (attack.Spec, uint32) {
	spec.Network, spec.Address = "tcp", s.loopback
	switch door {
	case Unix:
		spec.Network, spec.Address = "unix", s.socket
	case Admin:
		spec.Address = s.admin
	case Token:
		spec.Bearer = map[Who]string{Good: goodToken, Other: otherToken}[who]
	case MTLS:
		pair := map[Who]Pair{Good: s.bed.good, Other: s.bed.other}[who]
		spec.Address = s.secured
		spec.TLS = &attack.TLS{CA: s.bed.authority.pem, Certificate: pair.Certificate, Key: pair.Key}
	case Loopback:
	}
	switch who {
	case Good:
		return spec, uint32(os.Getuid())
	case Other:
		return spec, OtherUID
	default:
		return spec, StrangerUID
	}
}
