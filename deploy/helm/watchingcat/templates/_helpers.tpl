{{/* The name of every object. */}}
{{- define "watchingcat.name" -}}
{{- if contains "watchingcat" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-watchingcat" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "watchingcat.selector" -}}
app.kubernetes.io/name: watchingcat
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "watchingcat.labels" -}}
{{ include "watchingcat.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Name of the Secret with alertmanager.yml; empty: WatchingCat sends no notifications itself. */}}
{{- define "watchingcat.alertmanager" -}}
{{- if .Values.alertmanager.existingSecret -}}
{{- .Values.alertmanager.existingSecret -}}
{{- else if .Values.alertmanager.config -}}
{{- printf "%s-alertmanager" (include "watchingcat.name" .) -}}
{{- end -}}
{{- end -}}

{{/* watchingcat.yml: the settings of the user, and those that the chart decides. */}}
{{- define "watchingcat.settings" -}}
{{- $own := dict "http_addr" "0.0.0.0:8090" "data_dir" "/var/lib/watchingcat" -}}
{{- if .Values.ruleFiles -}}
{{- $_ := set $own "rule_files" (list "/etc/watchingcat/rules/*") -}}
{{- end -}}
{{- if include "watchingcat.alertmanager" . -}}
{{- $_ := set $own "alertmanager_config" "/etc/watchingcat/alertmanager/alertmanager.yml" -}}
{{- end -}}
{{- if .Values.receivers.enabled -}}
{{- $_ := set $own "otlp_grpc_addr" "0.0.0.0:4317" -}}
{{- $_ := set $own "otlp_http_addr" "0.0.0.0:4318" -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- $scheme := ternary "https" "http" (ne .Values.ingress.tlsSecret "") -}}
{{- if not (hasKey .Values.config "external_url") -}}
{{- $_ := set $own "external_url" (printf "%s://%s" $scheme .Values.ingress.host) -}}
{{- end -}}
{{- end -}}
{{- $name := include "watchingcat.name" . -}}
{{- if not (hasKey .Values.config "allowed_hosts") -}}
{{- $_ := set $own "allowed_hosts" (list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace)) -}}
{{- end -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- $peers := list -}}
{{- range $i := until (int .Values.replicas) -}}
{{- $peers = append $peers (printf "%s-%d.%s-peers:9094" $name $i $name) -}}
{{- end -}}
{{- $_ := set $own "cluster_addr" "0.0.0.0:9094" -}}
{{- $_ := set $own "cluster_peers" $peers -}}
{{- end -}}
{{- toYaml (merge $own .Values.config) -}}
{{- end -}}
