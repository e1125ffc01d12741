package doctor

import (
	"context"
	"slices"
	"sync"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// Options say what to examine.
type Options struct {
	Config    *config.Serve   // valid
	Variables map[string]bool // the environment variables of all flags
}

// setup is what the checks look at. What takes its time is done once, for the first check that asks.
type setup struct {
	*config.Serve

	variables     map[string]bool
	organizations []*organization
	policy        *watch.Value[*policy.Policy] // nil: none is configured
	keys          *watch.Value[[]*audit.Key]   // likewise
	auditFile     func() (writer.Inspection, error)
}

// organization is one whose tokens serve would sign.
type organization struct {
	config.Organization

	ask func() answers // what Kustomer says
}

func newSetup(ctx context.Context, o Options) *setup {
	s := &setup{Serve: o.Config, variables: o.Variables, keys: o.Config.OpenAuditKeys(nil)}
	var current *policy.Policy
	if s.policy = s.OpenPolicy(secret.Options{Logger: discard}); s.policy != nil {
		current = s.policy.Load()
	}
	for _, configured := range s.Organizations(current) {
		one := &organization{Organization: configured}
		one.ask = sync.OnceValue(func() answers { return askKustomer(ctx, one) })
		s.organizations = append(s.organizations, one)
	}
	s.auditFile = sync.OnceValues(func() (writer.Inspection, error) {
		return writer.Inspect(s.AuditOptions(s.keys, nil))
	})
	return s
}

// wrongFile is for a file without which serve answers no call or, at a strict start, ends.
func (s *setup) wrongFile(err error) []Finding {
	if s.StrictStart {
		return refused(config.WrongFile(err))
	}
	return failedf("%v", err)
}

// each returns a check of all organizations. It looks at them together, since Kustomer may be slow.
func each(find func(*organization) []Finding) func(context.Context, *setup) []Finding {
	return func(_ context.Context, s *setup) []Finding {
		found := make([][]Finding, len(s.organizations))
		var all sync.WaitGroup
		for i, one := range s.organizations {
			all.Go(func() {
				found[i] = find(one)
				if s.PolicyFile != "" {
					found[i] = of("of "+one.SecretSource.Organization, found[i])
				}
			})
		}
		all.Wait()
		return slices.Concat(found...)
	}
}

// answered returns a check of what Kustomer's API says about each organization that uses it.
func answered(find func(*organization, answers) []Finding) func(context.Context, *setup) []Finding {
	return each(func(o *organization) []Finding {
		if !o.UsesAPI() {
			return nil
		}
		return find(o, o.ask())
	})
}
