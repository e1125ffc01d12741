package manifest

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var generate = flag.Bool("generate", false, "write the components of kustomize and the Helm chart anew")

const (
	deploy    = "../../../deploy/"
	generated = "# Generated from server/internal/manifest/parts.go by `make generate`.\n"
)

// The components of kustomize, the Helm chart and the page with all that is added are made from the
// parts, so that they add what the command adds.
func TestGenerated(t *testing.T) {
	t.Parallel()
	for name, text := range generatedFiles() {
		path := filepath.Join(deploy, name)
		if *generate {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if there, err := os.ReadFile(path); err != nil || string(there) != text {
			t.Errorf("deploy/%s is not what the parts make it (make generate writes it): %v", name, err)
		}
	}
}

func generatedFiles() map[string]string {
	files := map[string]string{
		"kubernetes/sidecar.yaml":                    page(),
		"helm/chatidentity/templates/_sidecar.tpl":   chart(),
		"kubernetes/components/sidecar/patch.yaml":   workloadPatch(partsOf(sidecar, externalIDs, podAudit)...),
		"kubernetes/components/sidecar/cronjob.yaml": cronJobPatch(partsOf(sidecar, externalIDs, podAudit)...),
	}
	for component, options := range map[string][]Option{
		"unix-socket": {UnixSocket}, "audit-key": {AuditKey}, "audit-volume": {AuditKey, AuditVolume},
		"redis": {AuditKey, Redis}, "redis-ca": {RedisCA}, "ready-gated": {ReadyGated},
	} {
		files["kubernetes/components/"+component+"/patch.yaml"] = workloadPatch(partsOf(options...)...)
		files["kubernetes/components/"+component+"/cronjob.yaml"] = cronJobPatch(partsOf(options...)...)
	}
	return files
}

func partsOf(options ...Option) []part {
	var chosen []part
	for _, p := range parts {
		for _, option := range options {
			if p.option == option {
				chosen = append(chosen, p)
			}
		}
	}
	return chosen
}

// examples are the values of the components. Their users change them.
func examples(text string) string {
	return Options{
		Image: "chatidentity", AuditVolume: "chatidentity-audit", Redis: "rediss://chatidentity@redis.example.com:6379/0",
	}.values(10001).Replace(text)
}

// page shows what is added.
func page() string {
	return examples(generated + `# What ` + "`chatidentity manifest`" + ` adds to a pod's spec. To read, not to paste: of two lists
# under the same key kubectl keeps one, and drops the sidecar or your own without a word.
initContainers:
` + indent(container(partsOf(sidecar, externalIDs, podAudit), plain), 2) +
		"volumes:\n" + indent(volumes(partsOf(sidecar, externalIDs, podAudit)), 2))
}

// workloadPatch is a strategic merge patch of every kind that has its pod template at the same
// place.
func workloadPatch(chosen ...part) string {
	return patch("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: any\nspec:\n  template:\n" +
		indent(templatePatch(chosen), 4))
}

func cronJobPatch(chosen ...part) string {
	return patch("apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: any\nspec:\n  jobTemplate:\n    spec:\n" +
		"      template:\n" + indent(templatePatch(chosen), 8))
}

// patch leaves out comments: kustomize would carry them into lists in braces, and break those.
func patch(text string) string {
	return examples(generated + regexp.MustCompile(`(?m)^ *#.*\n| +#.*$`).ReplaceAllString(text, ""))
}

func templatePatch(chosen []part) string {
	var metadata string
	fields := containerPatch(chosen)
	if chosen[0].option == sidecar {
		metadata = "metadata:\n  labels:\n    " + labelText
		fields = container(chosen, plain)
	}
	spec := "initContainers:\n" + indent(fields, 2)
	if mounts := appMounts(chosen); mounts != "" {
		spec += "containers:\n" + indent(item("name: app\nvolumeMounts:\n"+indent(mounts, 2)), 2)
	}
	if all := volumes(chosen); all != "" {
		spec += "volumes:\n" + indent(strings.Replace(all, "  persistentVolumeClaim", "  emptyDir: null\n  persistentVolumeClaim", 1), 2)
	}
	return metadata + "spec:\n" + indent(spec, 2)
}

// containerPatch adds parts to a sidecar that is there.
func containerPatch(chosen []part) string {
	fields := "name: $name\n"
	list := func(key string, of func(part) string) {
		if text := join(chosen, plain, of); text != "" {
			fields += key + ":\n" + indent(text, 2)
		}
	}
	list("env", func(p part) string { return p.env + removed(p) })
	fields += join(chosen, plain, func(p part) string { return p.probe })
	list("volumeMounts", func(p part) string { return p.mounts })
	return item(fields)
}

// removed takes away what AuditVolume has in place of the files in the pod.
func removed(p part) string {
	if p.option != AuditVolume {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(partsOf(podAudit)[0].env) {
		if strings.HasPrefix(line, "- name: ") && !strings.Contains(p.env, line) {
			b.WriteString(line + "  $patch: delete\n")
		}
	}
	return b.String()
}

// conditions are those of the chart's values.
var conditions = map[Option]string{
	externalIDs: `not (hasKey (.env | default dict) "` + identifierPolicy + `")`,
	podAudit:    "not .auditVolume",
	UnixSocket:  ".unixSocket",
	AuditKey:    "or .auditKeySecret .auditVolume .limitRedis",
	AuditVolume: ".auditVolume",
	Redis:       ".limitRedis",
	RedisCA:     "and .limitRedis .limitRedisPrivateCA",
	ReadyGated:  ".readyGated",
}

// where puts a part's text under its condition.
func where(p part, text string) string {
	if conditions[p.option] == "" {
		return text
	}
	return "{{- if " + conditions[p.option] + " }}\n" + text + "{{- end }}\n"
}

// chartEnv is a part in the place of Options.env.
var chartEnv = part{env: `{{- range $variable, $value := .env }}
{{- if has $variable (include "chatidentity.sets" $ | fromYamlArray) }}
{{- fail (printf "chatidentity.env: the chart sets %s itself" $variable) }}
{{- end }}
- name: {{ $variable }}
  value: {{ quote $value }}
{{- end }}
`}

// chartSets lists what Options.Sets reports.
func chartSets() string {
	return join(parts, where, func(p part) string {
		var b strings.Builder
		for _, name := range p.sets() {
			b.WriteString("- " + name + "\n")
		}
		return b.String()
	})
}

// chart is the Helm library chart's only template.
func chart() string {
	define := func(name, comment, text string) string {
		return "\n{{/* " + comment + " */}}\n{{- define \"chatidentity." + name + "\" -}}\n{{- with .Values.chatidentity -}}\n" + text +
			"{{- end }}\n{{- end }}\n"
	}
	text := "{{/* Generated from server/internal/manifest/parts.go by `make generate`. */}}\n" +
		define("labels", "Of the pod template's labels: what a PodMonitor and a NetworkPolicy select.", label+": sidecar\n") +
		define("container", "The first item of initContainers.", container(append(slices.Clone(parts), chartEnv), where)) +
		define("sets", "The variables that the container has in any case.", chartSets()) +
		define("volumes", "Items of volumes.", join(parts, where, func(p part) string { return p.volumes })) +
		define("appVolumeMounts", "Items of volumeMounts of the app's container.",
			join(parts, where, func(p part) string { return p.appMounts })) +
		define("podSecurityContext", "Of the pod's securityContext, unless it has an fsGroup.",
			where(partsOf(AuditVolume)[0], fsGroup))
	return strings.NewReplacer(
		"$name", containerName, "$secret", "{{ .secretName }}", "$uid", "{{ int64 .allowUID }}",
		"$image", `{{ required "chatidentity.image: the sidecar's image in your registry" .image }}`,
		"$auditKey", `{{ .auditKeySecret | default "`+DefaultAuditKey+`" }}`, "$claim", "{{ .auditVolume }}", "$redis", "{{ .limitRedis }}",
	).Replace(text)
}
