package secret

import (
	"fmt"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// Source says where an organization's signing secret comes from. Exactly one field is set.
type Source struct {
	Value sensitive.String // the secret itself, which never changes: an environment variable's
	File  string           // a file that holds it, followed
	API   *API             // Kustomer's API, asked again and again
}

// kinds lists every kind of source. A kind that is not listed cannot be opened.
var kinds = []kind{
	{"environment", func(s Source) bool { return !s.Value.IsEmpty() }, openValue},
	{"file", func(s Source) bool { return s.File != "" }, openFile},
	{"api", func(s Source) bool { return s.API != nil }, openAPI},
}

type kind struct {
	name  string
	given func(Source) bool
	open  func(*Store, Source) error
}

// Kinds returns the names of all kinds of sources.
func Kinds() []string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = kind.name
	}
	return names
}

// Open returns a store for the source's secret. A secret that is not available yet, because its
// file is missing or wrong or the API has not answered, is not an error; Ready reports it.
func Open(options Options, source Source) (*Store, error) {
	var given []kind
	for _, kind := range kinds {
		if kind.given(source) {
			given = append(given, kind)
		}
	}
	if len(given) != 1 {
		return nil, fmt.Errorf("%d sources of the signing secret, want one", len(given))
	}
	s := newStore(options)
	s.kind = given[0].name
	return s, given[0].open(s, source)
}

func openValue(s *Store, source Source) error {
	s.source = "the environment"
	return s.take(source.Value, kustomer.Clock{}, nil)
}

func openFile(s *Store, source Source) error {
	s.source, s.hasAge = source.File, true
	file := watch.New(s.options.Follower, watch.Options[sensitive.String]{
		Kind: "secret", Setting: s.options.Setting, Paths: []string{source.File}, Parse: ParseText,
		Looked: func(value sensitive.String, err error) { _ = s.take(value, kustomer.Clock{}, err) },
	})
	s.release = file.Close
	return nil
}
