package doctor

import (
	"context"
	"log/slog"
	"sync"

	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/listen"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// Options say what to examine.
type Options struct {
	Config    *config.Serve   // valid
	Variables map[string]bool // the environment variables of all flags
}

// setup is what the checks look at. Whatever several of them need is opened once, when the first one
// asks for it.
type setup struct {
	Options

	organizations []*organization
	policy        func() (*policy.Policy, error) // nil without a file
	sockets       func() []error                 // of the addresses in order, the admin one last
	audit         func() (writer.Options, error)
	auditFile     func() (writer.Inspection, error)
}

func newSetup(ctx context.Context, o Options) *setup {
	s := &setup{Options: o}
	for _, configured := range o.Config.Organizations() {
		one := &organization{Organization: configured}
		one.ask = sync.OnceValue(func() answers { return askKustomer(ctx, one) })
		s.organizations = append(s.organizations, one)
	}
	s.policy = sync.OnceValues(func() (*policy.Policy, error) {
		opened, err := o.Config.OpenPolicy(nil, slog.New(slog.DiscardHandler))
		if err != nil || opened == nil {
			return nil, err
		}
		return opened.Load(), nil
	})
	s.sockets = sync.OnceValue(func() []error {
		var wanted []listen.Address
		for _, address := range o.Config.Listen {
			wanted = append(wanted, o.Config.ListenAddress(address))
		}
		return listen.Probe(ctx, append(wanted, o.Config.ListenAddress(o.Config.AdminListen))...)
	})
	s.audit = sync.OnceValues(func() (writer.Options, error) { return o.Config.AuditOptions(nil) })
	s.auditFile = sync.OnceValues(func() (writer.Inspection, error) {
		options, _ := s.audit() // wrong keys do not change the file
		return writer.Inspect(options)
	})
	return s
}

// each returns a check of all organizations. It looks at them together, since some must be waited for.
func each(find func(*organization) []Finding) func(context.Context, *setup) []Finding {
	return func(_ context.Context, s *setup) []Finding {
		found := make([][]Finding, len(s.organizations))
		var all sync.WaitGroup
		for i, one := range s.organizations {
			all.Go(func() { found[i] = find(one) })
		}
		all.Wait()
		var findings []Finding
		for i, one := range s.organizations {
			if s.Config.PolicyFile != "" {
				found[i] = of("of "+one.SecretSource.Organization, found[i])
			}
			findings = append(findings, found[i]...)
		}
		return findings
	}
}
