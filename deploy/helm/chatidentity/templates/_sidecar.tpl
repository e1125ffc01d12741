{{/* Generated from server/internal/manifest/parts.go by `make generate`. */}}

{{/* Of the pod template's labels: what a PodMonitor and a NetworkPolicy select. */}}
{{- define "chatidentity.labels" -}}
{{- with .Values.chatidentity -}}
chatidentity: sidecar
{{- end }}
{{- end }}

{{/* The first item of initContainers. */}}
{{- define "chatidentity.container" -}}
{{- with .Values.chatidentity -}}
- name: chatidentity
  image: "{{ required "chatidentity.image: the sidecar's image in your registry" .image }}"
  restartPolicy: Always # a native sidecar: it starts before the app and stops after it
  args:
    - serve
    - --secret-file=/etc/kustomer/secret
    - --admin-listen=:9452 # on the pod's address, which is where Kubernetes probes
  env:
    # Go collects harder above this; between it and the limit is room for what is not Go's heap.
    - name: GOMEMLIMIT
      valueFrom:
        resourceFieldRef:
          resource: requests.memory
    {{- if not (hasKey (.env | default dict) "CHATIDENTITY_IDENTIFIER_POLICY") }}
    - name: CHATIDENTITY_IDENTIFIER_POLICY
      value: external-id
    {{- end }}
    {{- if not .auditVolume }}
    # Records are durable in files of the pod. Collectors read a copy on standard output, for which nobody waits.
    - name: CHATIDENTITY_AUDIT_FILE
      value: /var/log/chatidentity/audit.jsonl
    - name: CHATIDENTITY_AUDIT_MAX_SIZE
      value: 8MiB
    - name: CHATIDENTITY_AUDIT_MAX_FILES
      value: "3"
    - name: CHATIDENTITY_AUDIT_COPY
      value: "-"
    {{- end }}
    {{- if .unixSocket }}
    - name: CHATIDENTITY_LISTEN
      value: unix:/run/chatidentity/chatidentity.sock
    - name: CHATIDENTITY_ALLOW_UID
      value: "{{ int64 .allowUID }}" # the app's
    - name: CHATIDENTITY_SOCKET_MODE # who mounts the volume may connect; the kernel then tells the user ID
      value: "0666"
    - name: CHATIDENTITY_ADDRESS # for kubectl exec ... chatidentity health
      value: unix:/run/chatidentity/chatidentity.sock
    {{- end }}
    {{- if or .auditKeySecret .auditVolume .limitRedis }}
    - name: CHATIDENTITY_AUDIT_KEY_FILE
      value: /etc/chatidentity-audit/key
    {{- end }}
    {{- if .auditVolume }}
    - name: CHATIDENTITY_AUDIT_FILE
      value: /var/log/chatidentity/{instance}.jsonl # the pod's name
    {{- end }}
    {{- if .limitRedis }}
    - name: CHATIDENTITY_LIMIT_REDIS
      value: "{{ .limitRedis }}"
    - name: CHATIDENTITY_LIMIT_REDIS_PASSWORD_FILE
      value: /etc/chatidentity-redis/password
    {{- end }}
    {{- if and .limitRedis .limitRedisPrivateCA }}
    - name: CHATIDENTITY_LIMIT_REDIS_CA
      value: /etc/chatidentity-redis/ca.crt
    {{- end }}
    {{- range $variable, $value := .env }}
    {{- if has $variable (include "chatidentity.sets" $ | fromYamlArray) }}
    {{- fail (printf "chatidentity.env: the chart sets %s itself" $variable) }}
    {{- end }}
    - name: {{ $variable }}
      value: {{ quote $value }}
    {{- end }}
  {{- if .readyGated }}
  readinessProbe: # what it prints is in the event: why the pod is not ready
    exec:
      command: [chatidentity, health, --admin-address=127.0.0.1:9452, --output=text]
    periodSeconds: 5
    timeoutSeconds: 5
  {{- end }}
  ports:
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
  volumeMounts:
    - name: kustomer-secret
      mountPath: /etc/kustomer
      readOnly: true
    {{- if not .auditVolume }}
    - name: chatidentity-audit
      mountPath: /var/log/chatidentity
    {{- end }}
    {{- if .unixSocket }}
    - name: chatidentity-socket
      mountPath: /run/chatidentity
    {{- end }}
    {{- if or .auditKeySecret .auditVolume .limitRedis }}
    - name: chatidentity-audit-key
      mountPath: /etc/chatidentity-audit
      readOnly: true
    {{- end }}
    {{- if .auditVolume }}
    - name: chatidentity-audit
      mountPath: /var/log/chatidentity
    {{- end }}
    {{- if .limitRedis }}
    - name: chatidentity-redis
      mountPath: /etc/chatidentity-redis
      readOnly: true
    {{- end }}
{{- end }}
{{- end }}

{{/* The variables that the container has in any case. */}}
{{- define "chatidentity.sets" -}}
{{- with .Values.chatidentity -}}
- CHATIDENTITY_SECRET_FILE
- CHATIDENTITY_ADMIN_LISTEN
{{- if not (hasKey (.env | default dict) "CHATIDENTITY_IDENTIFIER_POLICY") }}
- CHATIDENTITY_IDENTIFIER_POLICY
{{- end }}
{{- if not .auditVolume }}
- CHATIDENTITY_AUDIT_FILE
- CHATIDENTITY_AUDIT_MAX_SIZE
- CHATIDENTITY_AUDIT_MAX_FILES
- CHATIDENTITY_AUDIT_COPY
{{- end }}
{{- if .unixSocket }}
- CHATIDENTITY_LISTEN
- CHATIDENTITY_ALLOW_UID
- CHATIDENTITY_SOCKET_MODE
- CHATIDENTITY_ADDRESS
{{- end }}
{{- if or .auditKeySecret .auditVolume .limitRedis }}
- CHATIDENTITY_AUDIT_KEY_FILE
{{- end }}
{{- if .auditVolume }}
- CHATIDENTITY_AUDIT_FILE
{{- end }}
{{- if .limitRedis }}
- CHATIDENTITY_LIMIT_REDIS
- CHATIDENTITY_LIMIT_REDIS_PASSWORD_FILE
{{- end }}
{{- if and .limitRedis .limitRedisPrivateCA }}
- CHATIDENTITY_LIMIT_REDIS_CA
{{- end }}
{{- end }}
{{- end }}

{{/* Items of volumes. */}}
{{- define "chatidentity.volumes" -}}
{{- with .Values.chatidentity -}}
- name: kustomer-secret
  secret:
    secretName: "{{ .secretName }}"
    optional: true # without it there is no chat log-in, but there is the pod
{{- if not .auditVolume }}
- name: chatidentity-audit
  emptyDir:
    sizeLimit: 256Mi # the kubelet evicts a pod that exceeds it, so it is over four times what is ever there
{{- end }}
{{- if .unixSocket }}
- name: chatidentity-socket
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
{{- if or .auditKeySecret .auditVolume .limitRedis }}
- name: chatidentity-audit-key
  secret:
    secretName: "{{ .auditKeySecret | default "chatidentity-audit" }}"
    optional: true
{{- end }}
{{- if .auditVolume }}
- name: chatidentity-audit
  persistentVolumeClaim:
    claimName: "{{ .auditVolume }}"
{{- end }}
{{- if .limitRedis }}
- name: chatidentity-redis
  secret:
    secretName: chatidentity-redis
    optional: true
{{- end }}
{{- end }}
{{- end }}

{{/* Items of volumeMounts of the app's container. */}}
{{- define "chatidentity.appVolumeMounts" -}}
{{- with .Values.chatidentity -}}
{{- if .unixSocket }}
- name: chatidentity-socket
  mountPath: /run/chatidentity
  readOnly: true # enough to connect, and not to put another socket in its place
{{- end }}
{{- end }}
{{- end }}

{{/* Of the pod's securityContext, unless it has an fsGroup. */}}
{{- define "chatidentity.podSecurityContext" -}}
{{- with .Values.chatidentity -}}
{{- if .auditVolume }}
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch # no walk over every file at each start
{{- end }}
{{- end }}
{{- end }}
