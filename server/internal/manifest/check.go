package manifest

import (
	"errors"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// check compares what the result means with what the original means and what was added: inserted
// text may land in a place that means something else, such as below an alias.
func check(before []*yaml.Node, result string, added []pod) error {
	after, err := parse(result)
	if err != nil || len(after) != len(before) {
		return fmt.Errorf("cannot be inserted safely into YAML of this form: %w", errors.Join(err, errMoved))
	}
	wanted := map[int]any{}
	for _, p := range added {
		if wanted[p.document] == nil {
			var original any
			if err := before[p.document].Decode(&original); err != nil {
				return fmt.Errorf("cannot be read: %w", err)
			}
			wanted[p.document] = original
		}
		template, is := follow(wanted[p.document], p.path).(map[string]any)
		if !is {
			return errMoved
		}
		if err := p.addMeaning(template); err != nil {
			return err
		}
	}
	for i, want := range wanted {
		var got any
		if err := after[i].Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
			return fmt.Errorf("document %d cannot be changed safely by inserting text, because of an alias, a merge key (<<) "+
				"or its form: write it out: %w", i+1, errors.Join(err, errMoved))
		}
	}
	return nil
}

var errMoved = errors.New("the result would mean something else")

// follow returns what a path leads to.
func follow(in any, path []any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := in.(map[string]any)
			in = m[step]
		case int:
			l, _ := in.([]any)
			if step >= len(l) {
				return nil
			}
			in = l[step]
		}
	}
	return in
}

// addMeaning does to a decoded pod template what the inserted text should mean.
func (p pod) addMeaning(template map[string]any) error {
	spec := child(template, "spec")
	if p.label {
		child(child(template, "metadata"), "labels")[label] = string(sidecar)
	}
	if p.fsGroup != "" {
		context := child(spec, "securityContext")
		if err := yaml.Unmarshal([]byte(p.fsGroup), &context); err != nil {
			return err
		}
	}
	if err := errors.Join(prepend(spec, "initContainers", p.container), prepend(spec, "volumes", p.volumes)); err != nil {
		return err
	}
	containers, _ := spec["containers"].([]any)
	for _, one := range containers {
		if c, is := one.(map[string]any); is && c["name"] == p.app && p.appMounts != "" {
			return prepend(c, "volumeMounts", p.appMounts)
		}
	}
	return nil
}

// child returns the mapping of a key, which it makes if there is none.
func child(m map[string]any, key string) map[string]any {
	if there, is := m[key].(map[string]any); is {
		return there
	}
	made := map[string]any{}
	m[key] = made
	return made
}

// prepend puts items first into the list of a key. No name may be there twice.
func prepend(m map[string]any, key, items string) error {
	var first []map[string]any
	if err := yaml.Unmarshal([]byte(items), &first); err != nil {
		return err
	}
	there, _ := m[key].([]any)
	for _, mine := range first {
		for _, other := range there {
			if o, is := other.(map[string]any); is && key != "volumeMounts" && o["name"] == mine["name"] {
				return fmt.Errorf("%s has a %v already", key, o["name"])
			}
		}
	}
	all := make([]any, 0, len(first)+len(there))
	for _, mine := range first {
		all = append(all, mine)
	}
	m[key] = append(all, there...)
	return nil
}
