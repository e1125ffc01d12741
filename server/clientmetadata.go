package main

import (
	"context"
	"regexp"
	"sync"

	"google.golang.org/grpc/metadata"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// metadataFlags are what a backend sends beside its request.
type metadataFlags struct {
	CallerTokenFile string
	UserIDTokenFile string
	RequestID       string
}

func (f *metadataFlags) flags() []config.Flag {
	return []config.Flag{
		config.Path(&f.CallerTokenFile, "caller-token-file", "",
			"File with the caller token, if the sidecar requires one."),
		config.Path(&f.UserIDTokenFile, "user-id-token-file", "",
			"File with the user's OpenID Connect ID token, if the policy requires proof of the user."),
		config.String(&f.RequestID, "request-id", "ID", "",
			"Your own ID of the request, for the audit record: up to 128 letters, digits and . _ : -"),
	}
}

// requestIDForm is what an audit record takes.
var requestIDForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
})

// withMetadata adds what the flags name to what the call sends.
func (f *metadataFlags) withMetadata(ctx context.Context) (context.Context, error) {
	if f.RequestID != "" {
		if !requestIDForm().MatchString(f.RequestID) {
			return ctx, config.Usage("--request-id %q: use up to 128 letters, digits and . _ : -; "+
				"the audit record leaves out any other", f.RequestID)
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", f.RequestID)
	}
	var sent []string
	for _, header := range []struct {
		path, flag, name, scheme, want string
		fits                           func(sensitive.String) bool
	}{
		{
			f.CallerTokenFile, "--caller-token-file", "authorization", "Bearer ", "the token alone, as " +
				"`chatidentity caller-token NAME` shows it; the line with its digest is for the sidecar", caller.IsToken,
		},
		{
			f.UserIDTokenFile, "--user-id-token-file", "x-user-id-token", "", "the ID token alone: three parts of " +
				"base64url with a dot between them", isJWT,
		},
	} {
		if header.path == "" {
			continue
		}
		token, err := secret.ReadText(header.path)
		if err != nil {
			return ctx, config.Usage("%s: %v", header.flag, err)
		}
		if !header.fits(token) {
			return ctx, config.Usage("%s %s: it must hold %s", header.flag, header.path, header.want)
		}
		sent = append(sent, header.name, header.scheme+token.Reveal())
	}
	return metadata.AppendToOutgoingContext(ctx, sent...), nil
}

var jwtForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)
})

func isJWT(token sensitive.String) bool { return jwtForm().MatchString(token.Reveal()) }
