package manifest

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// workload is a kind with pods.
type workload struct {
	groups   string // of its APIs, each before a comma; empty: the core
	template string // the path to the pod template; empty: the object is the pod
}

// inSpec is where most kinds have their pod template.
const inSpec = "spec template"

var kinds = map[string]workload{
	"Deployment":  {"apps,extensions,", inSpec},
	"StatefulSet": {"apps,", inSpec},
	"DaemonSet":   {"apps,extensions,", inSpec},
	"Job":         {"batch,", inSpec},
	"CronJob":     {"batch,", "spec jobTemplate spec template"},
	"Pod":         {},
}

// object is one object of the text: a document, or an item of a List.
type object struct {
	node *yaml.Node
	path []any // from the root of its document
	kind string
	name string
}

// deepest bounds Lists in Lists, one of which may hold itself through an alias.
const deepest = 4

// objectsOf returns the objects of a document. An empty document has none.
func objectsOf(root *yaml.Node, path ...any) []object {
	if root.Kind == yaml.AliasNode {
		root = root.Alias
	}
	kind := scalar(root, "kind")
	if items := value(root, "items"); items != nil && len(path) < deepest &&
		items.Kind == yaml.SequenceNode && strings.HasSuffix(kind, "List") {
		all := make([]object, 0, len(items.Content))
		for i, one := range items.Content {
			all = append(all, objectsOf(one, append(slices.Clip(path), "items", i)...)...)
		}
		return all
	}
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	name := scalar(root, "metadata", "name")
	if name == "" {
		name = scalar(root, "metadata", "generateName")
	}
	return []object{{root, path, kind, name}}
}

// scalar returns the text that a path of keys leads to.
func scalar(n *yaml.Node, path ...string) string {
	if v := value(n, path...); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// passed says why an object gets no sidecar; empty: it should.
func (o object) passed() string {
	if o.kind == "" {
		return "it is no Kubernetes object"
	}
	known, found := kinds[o.kind]
	if !found {
		return "not a kind with pods that this command knows"
	}
	version := scalar(o.node, "apiVersion")
	if group, _, grouped := strings.Cut(version, "/"); grouped && !strings.Contains(known.groups, group+",") ||
		!grouped && known.groups != "" {
		return "a " + o.kind + " of another API: " + cmp.Or(version, "it has no apiVersion")
	}
	for _, where := range []string{"annotations", "labels"} {
		if scalar(o.node, "metadata", where, label) == skip || scalar(o.template(), "metadata", where, label) == skip {
			return label + ": " + skip
		}
	}
	for _, list := range []string{"initContainers", "containers"} {
		if _, found := named(value(o.template(), "spec", list), containerName); found {
			return "it has a container " + containerName + " already"
		}
	}
	return ""
}

// isWorkload reports whether the object has pods that a sidecar could be in.
func (o object) isWorkload() bool { _, found := kinds[o.kind]; return found }

// template returns the pod template, or the pod itself.
func (o object) template() *yaml.Node { return value(o.node, o.templatePath()...) }

func (o object) templatePath() []string { return strings.Fields(kinds[o.kind].template) }

// named finds the item of a list that has a name.
func named(list *yaml.Node, name string) (*yaml.Node, bool) {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, false
	}
	for _, one := range list.Content {
		if one.Kind == yaml.AliasNode {
			one = one.Alias
		}
		if scalar(one, "name") == name {
			return one, true
		}
	}
	return nil, false
}
