{{- define "goalkick.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains .Chart.Name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/*
What selects the pods of a workload. Call this and what follows with a dict: root is the chart's
context, component a service, deployment the name of a strategy where it is one.
*/}}
{{- define "goalkick.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .deployment }}
goalkick/deployment: {{ . }}
{{- end }}
{{- end }}

{{- define "goalkick.labels" -}}
{{ include "goalkick.selector" . }}
app.kubernetes.io/part-of: goalkick
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Name of a workload without the release's: a service, and the strategy that it is. */}}
{{- define "goalkick.title" -}}
{{ .component }}{{ with .deployment }}-{{ . }}{{ end }}
{{- end }}

{{- define "goalkick.name" -}}
{{ include "goalkick.fullname" .root }}-{{ include "goalkick.title" . }}
{{- end }}

{{/* The services of the platform, wherever they run, as JSON, {"all": [...]}: fused stands for its parts. */}}
{{- define "goalkick.platform" -}}
{{- $all := list }}
{{- range $component, $service := .Values.services }}
{{- $inside := and $.Values.services.fused.enabled (has $component (list "feature" "prediction" "strategy")) }}
{{- if and $service.enabled (not $inside) }}{{ $all = append $all $component }}{{ end }}
{{- end }}
{{- dict "all" $all | toJson }}
{{- end }}

{{/* Those of them that this release runs, as JSON, {"all": [...]}. */}}
{{- define "goalkick.components" -}}
{{- $all := list }}
{{- range (include "goalkick.platform" . | fromJson).all }}
{{- if or (not $.Values.runs) (has . $.Values.runs) }}{{ $all = append $all . }}{{ end }}
{{- end }}
{{- dict "all" $all | toJson }}
{{- end }}

{{/* Whether this release runs a component: "true" or nothing. */}}
{{- define "goalkick.here" -}}
{{- if has .component (include "goalkick.components" .root | fromJson).all }}true{{ end }}
{{- end }}

{{/* Names of the strategy services that the platform has besides one without a name, with spaces between. */}}
{{- define "goalkick.deployments" -}}
{{- if has "strategy" (include "goalkick.platform" . | fromJson).all }}{{ keys .Values.strategies | sortAlpha | join " " }}{{ end }}
{{- end }}

{{/* What a strategy service is told of a strategy. */}}
{{- define "goalkick.run" -}}
{{- omit . "stage" "limits" "pods" | toJson }}
{{- end }}

{{/* All workloads as JSON, {"all": [{"component": ..., "deployment": ...}]}: a strategy has one each. */}}
{{- define "goalkick.workloads" -}}
{{- $all := list }}
{{- range $component := (include "goalkick.components" . | fromJson).all }}
{{- if eq $component "strategy" }}
{{- range $name, $_ := $.Values.strategies }}
{{- $all = append $all (dict "component" $component "deployment" $name) }}
{{- end }}
{{- else }}
{{- $all = append $all (dict "component" $component "deployment" "") }}
{{- end }}
{{- end }}
{{- dict "all" $all | toJson }}
{{- end }}

{{/* A workload's values over those of its service and the defaults, as JSON. */}}
{{- define "goalkick.service" -}}
{{- $own := deepCopy (index .root.Values.services .component) }}
{{- if .deployment }}
{{- $own = mergeOverwrite $own (deepCopy (dig .deployment "pods" dict .root.Values.strategies)) }}
{{- end }}
{{- mergeOverwrite (deepCopy .root.Values.defaults) $own | toJson }}
{{- end }}

{{/* Whether a component works with Kafka: "true" or nothing. */}}
{{- define "goalkick.onKafka" -}}
{{- if not (has .component (list "limiter" "venue")) }}true{{ end }}
{{- end }}

{{- define "goalkick.image" -}}
{{- $image := .root.Values.image }}
{{- $name := printf "%s%s" $image.prefix .component }}
{{- if $image.registry }}{{ $name = printf "%s/%s" $image.registry $name }}{{ end }}
{{- $digest := (include "goalkick.service" . | fromJson).digest }}
{{- if $digest }}{{ $name }}@{{ $digest }}{{ else }}{{ $name }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Whether the chart brings a broker of its own: "true" or nothing. */}}
{{- define "goalkick.evaluation" -}}
{{- if not .Values.kafka.bootstrapServers }}true{{ end }}
{{- end }}

{{- define "goalkick.brokers" -}}
{{- .Values.kafka.bootstrapServers | default (printf "%s-kafka.%s.svc:9092" (include "goalkick.fullname" .) .Release.Namespace) }}
{{- end }}

{{/* Partitions of instrument-keyed topics: as said, else as the table of topics says. */}}
{{- define "goalkick.partitions" -}}
{{- .Values.topics.partitions | default 6 }}
{{- end }}

{{/* The section `runtime`, with what the chart knows better. */}}
{{- define "goalkick.runtime" -}}
{{- $values := .root.Values }}
{{- $security := $values.kafka.security }}
{{- $kafka := dict "bootstrap_servers" (include "goalkick.brokers" .root) "replication" $values.topics.replication }}
{{- with $values.topics.partitions }}{{ $_ := set $kafka "partitions" . }}{{ end }}
{{- if include "goalkick.onKafka" . }}
{{- if ne $security.protocol "plaintext" }}
{{- $_ := set $kafka "security_protocol" $security.protocol }}
{{- if $security.authority.secret }}{{ $_ := set $kafka "ca_file" "/etc/goalkick/kafka-authority/ca.crt" }}{{ end }}
{{- end }}
{{- if eq $security.protocol "sasl_ssl" }}
{{- $_ := set $kafka "username" (printf "%s%s" $security.userPrefix (include "goalkick.title" .)) }}
{{- $_ := set $kafka "password" "file:/etc/goalkick/kafka-user/password" }}
{{- else if eq $security.protocol "ssl" }}
{{- $_ := set $kafka "certificate_file" "/etc/goalkick/kafka-user/user.crt" }}
{{- $_ := set $kafka "key_file" "/etc/goalkick/kafka-user/user.key" }}
{{- end }}
{{- end }}
{{- $ours := dict "http" (dict "host" "0.0.0.0" "port" 8080) "kafka" $kafka }}
{{- $said := deepCopy ($values.config.runtime | default dict) }}
{{- if not (hasKey $said "forecasts") }}{{ $_ := set $ours "forecasts" $values.services.prediction.enabled }}{{ end }}
{{- if eq .component "risk" }}
{{- $waited := $said.deployments | default list }}
{{- if $values.services.fused.enabled }}{{ $waited = prepend $waited "" }}
{{- else }}{{ $waited = concat (include "goalkick.deployments" .root | splitList " " | compact) $waited }}
{{- end }}
{{- $_ := set $ours "deployments" (uniq $waited) }}
{{- else }}
{{- $_ := unset $said "deployments" }}
{{- end }}
{{- mergeOverwrite $said $ours | toJson }}
{{- end }}

{{/*
What of the section `budget` the limiter's clients must be told, as JSON: where it is, the limits that it goes by, and
how many copies may be cut off from it at once, those of a rolling update included.
*/}}
{{- define "goalkick.budget" -}}
{{- $copies := 0 }}
{{- range $component := list "ingest" "execution" }}
{{- $service := include "goalkick.service" (dict "root" $ "component" $component) | fromJson }}
{{- if $service.enabled }}
{{- $most := ternary $service.autoscaling.maxReplicas $service.replicas $service.autoscaling.enabled }}
{{- $copies = add $copies $most 1 }}
{{- end }}
{{- end }}
{{- $budget := dict "limiter" (printf "http://%s-limiter.%s.svc:8095" (include "goalkick.fullname" .) .Release.Namespace) }}
{{- if $copies }}{{ $_ := set $budget "copies" $copies }}{{ end }}
{{- with dig "limiter" "limits" dict .Values.config }}{{ $_ := set $budget "limits" . }}{{ end }}
{{- $budget | toJson }}
{{- end }}

{{/* The configuration file of one workload: its own sections and no other's. */}}
{{- define "goalkick.config" -}}
{{- $values := .root.Values }}
{{- $config := $values.config }}
{{- $own := deepCopy (index $config .component | default dict) }}
{{- $file := dict "runtime" (include "goalkick.runtime" . | fromJson) }}
{{- with $config.secrets }}{{ $_ := set $file "secrets" . }}{{ end }}
{{- if $values.vault.enabled }}
{{- $vault := dict "identity_file" "/var/run/secrets/goalkick/token" }}
{{- if $values.vault.authority.secret }}{{ $_ := set $vault "ca_file" "/etc/goalkick/vault-authority/ca.crt" }}{{ end }}
{{- $_ := set $file "vault" (mergeOverwrite $vault (deepCopy ($config.vault | default dict))) }}
{{- end }}
{{- if has .component (list "ingest" "risk" "execution") }}
{{- $_ := set $file "trading" ($config.trading | default dict) }}
{{- end }}
{{- if has .component (list "ingest" "execution") }}
{{- $budget := deepCopy ($config.budget | default dict) }}
{{- if include "goalkick.here" (dict "root" .root "component" "limiter") }}
{{- $budget = mergeOverwrite (include "goalkick.budget" .root | fromJson) $budget }}
{{- end }}
{{- with $budget }}{{ $_ := set $file "budget" . }}{{ end }}
{{- end }}
{{- if eq .component "strategy" }}
{{- $run := include "goalkick.run" (index $values.strategies .deployment) | fromJson }}
{{- $own = mergeOverwrite $own (dict "deployment" .deployment "strategies" (dict .deployment $run)) }}
{{- else if eq .component "fused" }}
{{- $runs := dict }}
{{- range $name, $strategy := $values.strategies }}{{ $_ := set $runs $name (include "goalkick.run" $strategy | fromJson) }}{{ end }}
{{- $_ := set $file "strategy" (mergeOverwrite (deepCopy ($config.strategy | default dict)) (dict "strategies" $runs)) }}
{{- range $part := list "feature" "prediction" }}
{{- with index $config $part }}{{ $_ := set $file $part . }}{{ end }}
{{- end }}
{{- else if eq .component "limiter" }}
{{- $own = mergeOverwrite $own (dict "host" "0.0.0.0" "port" 8095 "state" "/var/lib/goalkick/limiter.sqlite") }}
{{- else if eq .component "venue" }}
{{- $own = mergeOverwrite $own (dict "host" "0.0.0.0" "control_port" 8080 "binance_port" 9080 "bybit_port" 9081) }}
{{- else if eq .component "risk" }}
{{- $limits := dict }}
{{- range $name, $strategy := $values.strategies }}
{{- $_ := set $limits $name (mergeOverwrite (deepCopy ($strategy.limits | default dict)) (dict "stage" ($strategy.stage | default "paper"))) }}
{{- end }}
{{- $own = mergeOverwrite (dict "stage" "paper" "strategies" $limits) $own }}
{{- else if eq .component "execution" }}
{{- if $values.tradingKeys.existingSecret }}
{{- $venue := mergeOverwrite (deepCopy ($own.venue | default dict)) (dict "key" "file:/etc/goalkick/keys/key" "secret" "file:/etc/goalkick/keys/secret") }}
{{- $_ := set $own "venue" $venue }}
{{- end }}
{{- end }}
{{- $_ := set $file .component $own }}
{{- toYaml $file }}
{{- end }}

{{/* Volumes and mounts of whoever speaks to Kafka, as JSON {"volumes": [...], "mounts": [...]}. */}}
{{- define "goalkick.kafkaFiles" -}}
{{- $security := .root.Values.kafka.security }}
{{- $volumes := list }}
{{- $mounts := list }}
{{- if include "goalkick.onKafka" . }}
{{- if and (ne $security.protocol "plaintext") $security.authority.secret }}
{{- $item := dict "key" $security.authority.key "path" "ca.crt" }}
{{- $volumes = append $volumes (dict "name" "kafka-authority" "secret" (dict "secretName" $security.authority.secret "defaultMode" 288 "items" (list $item))) }}
{{- $mounts = append $mounts (dict "name" "kafka-authority" "mountPath" "/etc/goalkick/kafka-authority" "readOnly" true) }}
{{- end }}
{{- if ne $security.protocol "plaintext" }}
{{- $names := ternary (list "password") (list "user.crt" "user.key") (eq $security.protocol "sasl_ssl") }}
{{- $items := list }}
{{- range $names }}{{ $items = append $items (dict "key" . "path" .) }}{{ end }}
{{- $secret := printf "%s%s" $security.userPrefix (include "goalkick.title" .) }}
{{- $volumes = append $volumes (dict "name" "kafka-user" "secret" (dict "secretName" $secret "defaultMode" 288 "items" $items)) }}
{{- $mounts = append $mounts (dict "name" "kafka-user" "mountPath" "/etc/goalkick/kafka-user" "readOnly" true) }}
{{- end }}
{{- end }}
{{- dict "volumes" $volumes "mounts" $mounts | toJson }}
{{- end }}

{{/* Whether a service may reach the internet: "true" or nothing. Only these two, and only live. */}}
{{- define "goalkick.internet" -}}
{{- if and (eq .component "ingest") (eq (dig "ingest" "feed" "simulated" .root.Values.config) "ccxt") }}true{{ end }}
{{- if and (eq .component "execution") (eq (dig "trading" "mode" "paper" .root.Values.config) "live") }}true{{ end }}
{{- end }}

{{- define "goalkick.priority" -}}
{{- $own := include "goalkick.service" . | fromJson }}
{{- if $own.priorityClassName }}{{ $own.priorityClassName }}
{{- else if .root.Values.priorityClasses.create }}{{ .root.Release.Namespace }}-{{ include "goalkick.fullname" .root }}-{{ if has .component (list "risk" "execution") }}trading{{ else }}data{{ end }}
{{- end }}
{{- end }}

{{- define "goalkick.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "goalkick.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "goalkick.pullSecrets" -}}
{{- range .Values.image.pullSecrets }}
- name: {{ . }}
{{- end }}
{{- end }}
