// Package manifest adds the sidecar to the YAML of Kubernetes workloads. It inserts text and
// re-encodes nothing, so that comments, order and style stay. The sidecar's container is written
// here and nowhere else: the components of kustomize and the Helm chart are generated from it.
package manifest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Options say what to add. The zero value of each but Image adds nothing.
type Options struct {
	Image        string     // of the sidecar
	Secret       string     // name of the Secret with the signing secret; empty: DefaultSecret
	UnixSocket   bool       // calls come over a socket on a shared volume instead of loopback
	AppContainer string     // the container that calls over the socket; empty: the first
	AllowUID     *uint32    // its user ID; nil: the runAsUser of the container or pod
	AuditKey     string     // name of the Secret with the audit key; empty: none, unless another option needs it
	AuditVolume  string     // name of the PersistentVolumeClaim for audit files; empty: they stay in the pod
	Redis        string     // URL of the Redis for shared limits; empty: none
	RedisCA      bool       // the CA of its certificate is in the Secret of its password
	ReadyGated   bool       // the pod is ready only while a token would be issued
	Env          []Variable // more of the sidecar's: none that Sets reports, and none twice
}

// Names of objects that are looked for unless Options name others.
const (
	DefaultSecret   = "kustomer-chat" //nolint:gosec // its name
	DefaultAuditKey = "chatidentity-audit"
)

// Names that the sidecar's container and its label have in every pod.
const (
	containerName = "chatidentity"
	label         = "chatidentity"
	labelText     = label + ": sidecar # for a PodMonitor and a NetworkPolicy\n"
	skip          = "skip" // the value of a label or annotation with the label's name
)

// fsGroup is of the pod's security context.
const fsGroup = `fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch # no walk over every file at each start
`

func (o Options) has(option Option) bool {
	return map[Option]bool{
		sidecar:     true,
		externalIDs: !slices.ContainsFunc(o.Env, func(v Variable) bool { return v.Name == identifierPolicy }),
		podAudit:    o.AuditVolume == "",
		UnixSocket:  o.UnixSocket,
		AuditKey:    o.AuditKey != "" || o.AuditVolume != "" || o.Redis != "",
		AuditVolume: o.AuditVolume != "",
		Redis:       o.Redis != "",
		RedisCA:     o.Redis != "" && o.RedisCA,
		ReadyGated:  o.ReadyGated,
	}[option]
}

// chosen returns the parts of the options.
func (o Options) chosen() []part {
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return !o.has(p.option) })
}

// values puts the options into the text of parts.
func (o Options) values(uid uint32) *strings.Replacer {
	pairs := make([]string, 0, 2*len(o.Env))
	for _, v := range o.Env {
		pairs = append(pairs, placeholder(v), v.quoted())
	}
	return strings.NewReplacer(append(pairs,
		"$name", containerName, "$image", o.Image, "$secret", cmp.Or(o.Secret, DefaultSecret),
		"$uid", strconv.FormatUint(uint64(uid), 10), "$auditKey", cmp.Or(o.AuditKey, DefaultAuditKey),
		"$claim", o.AuditVolume, "$redis", o.Redis)...)
}

// container returns the item of the list of init containers. each is given the text of every part.
func container(parts []part, each func(p part, text string) string) string {
	list := func(key string, of func(part) string) string { return key + ":\n" + indent(join(parts, each, of), 2) }
	fields := head +
		list("env", func(p part) string { return p.env }) +
		join(parts, each, func(p part) string { return p.probe }) +
		tail +
		list("volumeMounts", func(p part) string { return p.mounts })
	return item(fields)
}

// join returns what all parts give.
func join(parts []part, each func(p part, text string) string, of func(part) string) string {
	var b strings.Builder
	for _, p := range parts {
		if text := of(p); text != "" {
			b.WriteString(each(p, text))
		}
	}
	return b.String()
}

func plain(_ part, text string) string { return text }

func volumes(parts []part) string {
	return join(parts, plain, func(p part) string { return p.volumes })
}

func appMounts(parts []part) string {
	return join(parts, plain, func(p part) string { return p.appMounts })
}

// item makes an item of a list of the fields of a mapping.
func item(fields string) string { return "- " + strings.TrimPrefix(indent(fields, 2), "  ") }

// indent moves every line to the right.
func indent(text string, by int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Repeat(" ", by) + line)
	}
	return b.String()
}
