{{/* Name of the deployment, which topics, group and user carry. */}}
{{- define "strategy.deployment" -}}
{{ .Values.deployment | default .Release.Name }}
{{- end }}

{{- define "strategy.name" -}}
{{ printf "%s-strategy-%s" .Values.platform.release (include "strategy.deployment" .) | trunc 58 | trimSuffix "-" }}
{{- end }}

{{- define "strategy.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: strategy
goalkick/deployment: {{ include "strategy.deployment" . }}
{{- end }}

{{- define "strategy.labels" -}}
{{ include "strategy.selector" . }}
app.kubernetes.io/part-of: goalkick
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "strategy.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The section `runtime` for a user at the broker; call with a dict of root and user. */}}
{{- define "strategy.runtime" -}}
{{- $values := .root.Values }}
{{- $security := $values.kafka.security }}
{{- $brokers := $values.kafka.bootstrapServers | default (printf "%s-kafka.%s.svc:9092" $values.platform.release .root.Release.Namespace) }}
{{- $kafka := dict "bootstrap_servers" $brokers "replication" $values.kafka.replication }}
{{- with $values.kafka.partitions }}{{ $_ := set $kafka "partitions" . }}{{ end }}
{{- if ne $security.protocol "plaintext" }}
{{- $_ := set $kafka "security_protocol" $security.protocol }}
{{- if $security.authority.secret }}{{ $_ := set $kafka "ca_file" "/etc/goalkick/kafka-authority/ca.crt" }}{{ end }}
{{- end }}
{{- if eq $security.protocol "sasl_ssl" }}
{{- $_ := set $kafka "username" (printf "%s%s" $security.userPrefix .user) }}
{{- $_ := set $kafka "password" "file:/etc/goalkick/kafka-user/password" }}
{{- else if eq $security.protocol "ssl" }}
{{- $_ := set $kafka "certificate_file" "/etc/goalkick/kafka-user/user.crt" }}
{{- $_ := set $kafka "key_file" "/etc/goalkick/kafka-user/user.key" }}
{{- end }}
{{- $ours := dict "http" (dict "host" "0.0.0.0" "port" 8080) "kafka" $kafka }}
{{- mergeOverwrite (deepCopy $values.platform.runtime) $ours | toJson }}
{{- end }}

{{- define "strategy.config" -}}
{{- $user := printf "strategy-%s" (include "strategy.deployment" .) }}
{{- $own := dict "deployment" (include "strategy.deployment" .) "strategies" .Values.strategies }}
{{- with .Values.folder }}{{ $_ := set $own "folder" . }}{{ end }}
{{- dict "runtime" (include "strategy.runtime" (dict "root" . "user" $user) | fromJson) "strategy" $own | toYaml }}
{{- end }}

{{/* Volumes and mounts for a user at the broker, as JSON; call with a dict of root and user. */}}
{{- define "strategy.kafkaFiles" -}}
{{- $security := .root.Values.kafka.security }}
{{- $volumes := list }}
{{- $mounts := list }}
{{- if ne $security.protocol "plaintext" }}
{{- if $security.authority.secret }}
{{- $item := dict "key" $security.authority.key "path" "ca.crt" }}
{{- $volumes = append $volumes (dict "name" "kafka-authority" "secret" (dict "secretName" $security.authority.secret "defaultMode" 288 "items" (list $item))) }}
{{- $mounts = append $mounts (dict "name" "kafka-authority" "mountPath" "/etc/goalkick/kafka-authority" "readOnly" true) }}
{{- end }}
{{- $items := list }}
{{- range ternary (list "password") (list "user.crt" "user.key") (eq $security.protocol "sasl_ssl") }}{{ $items = append $items (dict "key" . "path" .) }}{{ end }}
{{- $volumes = append $volumes (dict "name" "kafka-user" "secret" (dict "secretName" (printf "%s%s" $security.userPrefix .user) "defaultMode" 288 "items" $items)) }}
{{- $mounts = append $mounts (dict "name" "kafka-user" "mountPath" "/etc/goalkick/kafka-user" "readOnly" true) }}
{{- end }}
{{- dict "volumes" $volumes "mounts" $mounts | toJson }}
{{- end }}

{{- define "strategy.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "strategy.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "strategy.pullSecrets" -}}
{{- range .Values.image.pullSecrets }}
- name: {{ . }}
{{- end }}
{{- end }}
