package idtoken

import (
	"context"
	"crypto"
	"fmt"

	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// fileKeys are an issuer's keys in a file, which the follower keeps current.
type fileKeys struct{ set *watch.Value[keySet] }

// openFileKeys is an error while the file is missing or wrong. What names the file, and fails for
// that, can be followed for it.
func openFileKeys(issuer Issuer, options Options) (fileKeys, error) {
	k := fileKeys{watch.New(options.Follower, watch.Options[keySet]{
		Kind: "jwks", Setting: "jwks_file of issuer " + issuer.Issuer, Paths: []string{issuer.JWKSFile},
		Parse: func(contents [][]byte, _ keySet) (keySet, error) { return parseKeys(contents[0]) },
	})}
	if err := k.set.Err(); err != nil {
		k.close()
		return fileKeys{}, &watch.NamedFileError{Path: issuer.JWKSFile, Err: err}
	}
	return k, nil
}

func (k fileKeys) find(ctx context.Context, h header) (crypto.PublicKey, error) {
	if key, found := k.set.Load().find(h); found {
		return key, nil
	}
	if err := k.load(ctx); err != nil { // the key may be a new one, in a file that cannot be used
		return nil, err
	}
	return nil, errUnknownKey
}

func (k fileKeys) load(context.Context) error {
	if err := k.set.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func (k fileKeys) close() { k.set.Close() }
