package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	attestation "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// Each is a name of our own: what it says is in docs/release.md.
const (
	repository = "https://github.com/chatidentity/chatidentity"
	buildType  = repository + "/docs/release.md#releasing"
	builder    = repository + "/docs/release.md#who-builds"
)

var stepOfCI = regexp.MustCompile(`(?m)^step "([^"]+)"`)

// provenance writes how the files came about: an in-toto statement about each
// file so far, with SLSA's predicate. It says nothing of the machine or the time
// of day, so that who builds again gets the same statement.
func (r *release) provenance(ctx context.Context) error {
	files, err := r.digests()
	if err != nil {
		return err
	}
	statement := &attestation.Statement{
		Type: attestation.StatementTypeUri, PredicateType: "https://slsa.dev/provenance/v1",
	}
	for _, file := range files {
		statement.Subject = append(statement.Subject, &attestation.ResourceDescriptor{
			Name: file.name, Digest: map[string]string{"sha256": file.digest},
		})
	}
	if statement.Predicate, err = r.predicate(ctx); err != nil {
		return err
	}
	if err := statement.Validate(); err != nil {
		return err
	}
	// protojson varies its white space on purpose; the canonical form of encoding/json does not.
	out, err := protojson.Marshal(statement)
	if err != nil {
		return err
	}
	if out, err = indented(out); err != nil {
		return err
	}
	return write(r.file("provenance.intoto.json"), string(out))
}

// predicate says what was built from what, and what CI runs before a change lands.
func (r *release) predicate(ctx context.Context) (*structpb.Struct, error) {
	goVersion, err := r.run(ctx, r.source, nil, "go", "env", "GOVERSION")
	if err != nil {
		return nil, err
	}
	ci, err := os.ReadFile(filepath.Join(r.source, ".ci", "run"))
	if err != nil {
		return nil, err
	}
	var steps []any
	for _, step := range stepOfCI.FindAllSubmatch(ci, -1) {
		steps = append(steps, string(step[1]))
	}
	if len(steps) == 0 {
		return nil, errors.New(".ci/run has no steps")
	}
	parameters, err := structpb.NewStruct(map[string]any{
		"repository": repository, "commit": r.commit, "command": "make release VERSION=v" + r.version,
	})
	if err != nil {
		return nil, err
	}
	environment, err := structpb.NewStruct(map[string]any{"go": goVersion, "ciSteps": steps})
	if err != nil {
		return nil, err
	}
	predicate := &provenance.Provenance{
		BuildDefinition: &provenance.BuildDefinition{
			BuildType: buildType, ExternalParameters: parameters, InternalParameters: environment,
			ResolvedDependencies: []*attestation.ResourceDescriptor{{
				Uri: "git+" + repository + "@" + r.commit, Digest: map[string]string{"gitCommit": r.commit},
			}},
		},
		RunDetails: &provenance.RunDetails{Builder: &provenance.Builder{Id: builder}},
	}
	if err := predicate.Validate(); err != nil {
		return nil, err
	}
	text, err := protojson.Marshal(predicate)
	if err != nil {
		return nil, err
	}
	out := &structpb.Struct{}
	return out, protojson.Unmarshal(text, out)
}

type digested struct{ name, digest string }

// digests are of the release's files so far, in the order of their names.
func (r *release) digests() ([]digested, error) {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return nil, err
	}
	var out []digested
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(r.out, entry.Name()))
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(content)
		out = append(out, digested{entry.Name(), hex.EncodeToString(digest[:])})
	}
	return out, nil
}
