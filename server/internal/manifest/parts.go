package manifest

// part is what one option adds to a pod, as YAML text without indentation. Words that begin with $
// stand for the values of Options.
type part struct {
	option       Option
	env, mounts  string // items of the sidecar's lists
	probe        string // a field of the sidecar
	volumes      string // items of the pod's list
	appMounts    string // items of the list of the app's container
	needsFSGroup bool   // the pod's volumes must belong to a group of the sidecar
}

// Option names a part. Components of kustomize have the same names.
type Option string

// The options.
const (
	sidecar     Option = "sidecar"      // what every pod gets
	externalIDs Option = "external-ids" // they alone are signed, unless Env says otherwise
	podAudit    Option = "audit-in-pod" // records stay in the pod, unless AuditVolume keeps them
	UnixSocket  Option = "unix-socket"
	AuditKey    Option = "audit-key"
	AuditVolume Option = "audit-volume"
	Redis       Option = "redis"
	RedisCA     Option = "redis-ca"
	ReadyGated  Option = "ready-gated"
)

// identifierPolicy is the one variable of the container that Env may replace.
const identifierPolicy = "CHATIDENTITY_IDENTIFIER_POLICY"

// The sidecar's container is head, then the lists and fields of the parts, with tail between them.
const (
	head = `name: $name
image: "$image"
restartPolicy: Always # a native sidecar: it starts before the app and stops after it
args:
  - serve
  - --secret-file=/etc/kustomer/secret
  - --admin-listen=:9452 # on the pod's address, which is where Kubernetes probes
`
	tail = `ports:
  - name: chatidentity
    containerPort: 9452
startupProbe: # the app starts once this passes: at /livez, so a missing or bad secret does not hold it up
  httpGet:
    path: /livez
    port: chatidentity
  periodSeconds: 1
  failureThreshold: 30
livenessProbe: # replaces a sidecar that hangs; one that is merely busy answers in time
  httpGet:
    path: /livez
    port: chatidentity
  periodSeconds: 5
  timeoutSeconds: 5
  terminationGracePeriodSeconds: 1 # what hangs takes no SIGTERM
terminationMessagePolicy: FallbackToLogsOnError
resources: # measured: docs/kubernetes.md
  requests:
    cpu: 50m
    memory: 64Mi
  limits:
    cpu: "1"
    memory: 128Mi
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
`
)

// parts are in the order in which they stand in the container.
var parts = []part{
	{
		option: sidecar,
		env: `# Go collects harder above this; between it and the limit is room for what is not Go's heap.
- name: GOMEMLIMIT
  valueFrom:
    resourceFieldRef:
      resource: requests.memory
`,
		mounts: `- name: kustomer-secret
  mountPath: /etc/kustomer
  readOnly: true
`,
		volumes: `- name: kustomer-secret
  secret:
    secretName: "$secret"
    optional: true # without it there is no chat log-in, but there is the pod
`,
	},
	{
		option: externalIDs,
		env: `- name: ` + identifierPolicy + `
  value: external-id
`,
	},
	{
		option: podAudit,
		env: `# Records are durable in files of the pod. Collectors read a copy on standard output, for which nobody waits.
- name: CHATIDENTITY_AUDIT_FILE
  value: /var/log/chatidentity/audit.jsonl
- name: CHATIDENTITY_AUDIT_MAX_SIZE
  value: 8MiB
- name: CHATIDENTITY_AUDIT_MAX_FILES
  value: "3"
- name: CHATIDENTITY_AUDIT_COPY
  value: "-"
`,
		mounts: `- name: chatidentity-audit
  mountPath: /var/log/chatidentity
`,
		volumes: `- name: chatidentity-audit
  emptyDir:
    sizeLimit: 256Mi # the kubelet evicts a pod that exceeds it, so it is over four times what is ever there
`,
	},
	{
		option: UnixSocket,
		env: `- name: CHATIDENTITY_LISTEN
  value: unix:/run/chatidentity/chatidentity.sock
- name: CHATIDENTITY_ALLOW_UID
  value: "$uid" # the app's
- name: CHATIDENTITY_SOCKET_MODE # who mounts the volume may connect; the kernel then tells the user ID
  value: "0666"
- name: CHATIDENTITY_ADDRESS # for kubectl exec ... chatidentity health
  value: unix:/run/chatidentity/chatidentity.sock
`,
		mounts: `- name: chatidentity-socket
  mountPath: /run/chatidentity
`,
		volumes: `- name: chatidentity-socket
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
`,
		appMounts: `- name: chatidentity-socket
  mountPath: /run/chatidentity
  readOnly: true # enough to connect, and not to put another socket in its place
`,
	},
	{
		option: AuditKey,
		env: `- name: CHATIDENTITY_AUDIT_KEY_FILE
  value: /etc/chatidentity-audit/key
`,
		mounts: `- name: chatidentity-audit-key
  mountPath: /etc/chatidentity-audit
  readOnly: true
`,
		volumes: `- name: chatidentity-audit-key
  secret:
    secretName: "$auditKey"
    optional: true
`,
	},
	{
		option: AuditVolume,
		env: `- name: CHATIDENTITY_AUDIT_FILE
  value: /var/log/chatidentity/{instance}.jsonl # the pod's name
`,
		mounts: `- name: chatidentity-audit
  mountPath: /var/log/chatidentity
`,
		volumes: `- name: chatidentity-audit
  persistentVolumeClaim:
    claimName: "$claim"
`,
		needsFSGroup: true,
	},
	{
		option: Redis,
		env: `- name: CHATIDENTITY_LIMIT_REDIS
  value: "$redis"
- name: CHATIDENTITY_LIMIT_REDIS_PASSWORD_FILE
  value: /etc/chatidentity-redis/password
`,
		mounts: `- name: chatidentity-redis
  mountPath: /etc/chatidentity-redis
  readOnly: true
`,
		volumes: `- name: chatidentity-redis
  secret:
    secretName: chatidentity-redis
    optional: true
`,
	},
	{
		option: RedisCA,
		env: `- name: CHATIDENTITY_LIMIT_REDIS_CA
  value: /etc/chatidentity-redis/ca.crt
`,
	},
	{
		option: ReadyGated,
		probe: `readinessProbe: # what it prints is in the event: why the pod is not ready
  exec:
    command: [chatidentity, health, --admin-address=127.0.0.1:9452, --output=text]
  periodSeconds: 5
  timeoutSeconds: 5
`,
	},
}
