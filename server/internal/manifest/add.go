package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Change says what became of one object.
type Change struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Line    int    `json:"line"`
	Changed bool   `json:"changed"`
	Why     string `json:"why,omitempty"` // it was not changed
}

// ErrNoUserID means that no user ID of the app is known for a unix socket.
var ErrNoUserID = errors.New("its user ID must be given")

// ErrNoWorkload means that no document is a workload.
var ErrNoWorkload = errors.New("there is no Deployment, StatefulSet, DaemonSet, Job, CronJob or Pod in it")

// Add returns the text with a sidecar in every workload, and what became of each object. When it
// fails, nothing of the text should be used: a workload would be without its sidecar.
func Add(raw string, options Options) (string, []Change, error) {
	documents, err := parse(raw)
	if err != nil {
		return "", nil, err
	}
	t := newText(raw)
	var changes []Change
	var added []pod
	workloads := 0
	for i, document := range documents {
		for _, one := range objectsOf(document.Content[0]) {
			change := Change{Kind: one.kind, Name: one.name, Line: one.node.Line, Why: one.passed()}
			if one.isWorkload() {
				workloads++
			}
			if change.Why == "" {
				change.Changed = true
				p, err := t.addTo(one, options)
				if err != nil {
					return "", nil, fmt.Errorf("%s %s: %w", one.kind, one.name, err)
				}
				p.document = i
				added = append(added, p)
			}
			changes = append(changes, change)
		}
	}
	if workloads == 0 {
		return "", changes, ErrNoWorkload
	}
	result := t.edited()
	if err := check(documents, result, added); err != nil {
		return "", nil, err
	}
	return result, changes, nil
}

// parse returns the documents.
func parse(raw string) ([]*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader([]byte(raw)))
	if err != nil {
		return nil, err
	}
	var documents []*yaml.Node
	for {
		var document yaml.Node
		if err := loader.Load(&document); errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return nil, syntaxError(err)
		}
		if len(document.Content) == 1 {
			documents = append(documents, &document)
		}
	}
}

func syntaxError(err error) error {
	if failure, ok := errors.AsType[*yaml.LoadError](err); ok && failure.Mark.Line > 0 {
		return fmt.Errorf("line %d: not valid YAML: %s (render templates first)", failure.Mark.Line, failure.Message)
	}
	return errors.New("not valid YAML (render templates first)")
}

// pod is what is added to one object.
type pod struct {
	document  int
	path      []any // to the pod template
	container string
	volumes   string
	label     bool
	fsGroup   string // fields of the pod's security context
	app       string // the container that gets mounts
	appMounts string
}

// addTo inserts what the options want into one workload.
func (t *text) addTo(o object, options Options) (pod, error) {
	template, spec := o.template(), value(o.template(), "spec")
	containers := value(spec, "containers")
	if containers == nil || containers.Kind != yaml.SequenceNode || len(containers.Content) == 0 {
		return pod{}, errors.New("there are no containers that could be found: they may come from an alias or a merge key")
	}
	chosen := options.chosen()
	p := pod{path: o.path, label: value(template, "metadata", "labels", label) == nil}
	for _, key := range o.templatePath() {
		p.path = append(slices.Clip(p.path), key)
	}
	var uid uint32
	if options.UnixSocket {
		var err error
		if p.app, uid, err = appOf(spec, containers, options); err != nil {
			return pod{}, err
		}
	}
	values := options.values(uid)
	p.container = values.Replace(container(append(chosen, options.env()), plain))
	p.volumes = values.Replace(volumes(chosen))
	p.appMounts = values.Replace(appMounts(chosen))
	for _, part := range chosen {
		if part.needsFSGroup && value(spec, "securityContext", "fsGroup") == nil {
			p.fsGroup = fsGroup
		}
	}
	return p, t.insert(p, template, spec, containers)
}

// insert puts everything in its place.
func (t *text) insert(p pod, template, spec, containers *yaml.Node) error {
	deep := 2 // of a list below its key
	if key, _ := entry(spec, "containers"); containers.Style&yaml.FlowStyle == 0 {
		deep = containers.Column - key.Column
	}
	var err error
	if p.label {
		err = t.addLabel(template)
	}
	if p.fsGroup != "" && err == nil {
		err = t.add(spec, "securityContext", p.fsGroup, 2, "containers")
	}
	if err == nil {
		err = t.add(spec, "initContainers", p.container, deep, "containers")
	}
	if err == nil {
		err = t.add(spec, "volumes", p.volumes, deep, "containers")
	}
	if p.appMounts != "" && err == nil {
		app, _ := named(containers, p.app)
		last := app.Content[len(app.Content)-2].Value
		err = t.add(app, "volumeMounts", p.appMounts, deep, last)
	}
	return err
}

func (t *text) addLabel(template *yaml.Node) error {
	metadata := value(template, "metadata")
	if metadata == nil || len(metadata.Content) == 0 {
		return t.add(template, "metadata", "labels:\n  "+labelText, 2, "spec")
	}
	return t.add(metadata, "labels", labelText, 2, "")
}

// appOf returns the name and the user ID of the container that calls over the socket.
func appOf(spec, containers *yaml.Node, options Options) (string, uint32, error) {
	app := containers.Content[0]
	if options.AppContainer != "" {
		var found bool
		if app, found = named(containers, options.AppContainer); !found {
			return "", 0, fmt.Errorf("line %d: there is no container %s", containers.Line, options.AppContainer)
		}
	}
	if app.Kind != yaml.MappingNode {
		return "", 0, fmt.Errorf("line %d: the app's container is an alias: write it out", app.Line)
	}
	name := scalar(app, "name")
	if name == "" {
		return "", 0, fmt.Errorf("line %d: the app's container has no name", app.Line)
	}
	if options.AllowUID != nil {
		return name, *options.AllowUID, nil
	}
	user := cmp.Or(scalar(app, "securityContext", "runAsUser"), scalar(spec, "securityContext", "runAsUser"))
	uid, err := strconv.ParseUint(user, 10, 32)
	if err != nil || uid == 0 {
		return "", 0, fmt.Errorf("line %d: the container %s has no runAsUser other than 0, so %w",
			app.Line, strings.TrimSpace(name), ErrNoUserID)
	}
	return name, uint32(uid), nil
}
