{{/* An expression for each job, joined by "or"; form has %q for the job name. */}}
{{- define "provider-metrics-exporter.forEachJob" -}}
{{- $terms := list -}}
{{- range .jobs -}}
{{- $terms = append $terms (printf $.form .) -}}
{{- end -}}
{{- join " or " $terms -}}
{{- end }}

{{/* Expression of GatewayzServerDown for the servers with a name; empty without any. */}}
{{- define "provider-metrics-exporter.serverDown" -}}
{{- $jobs := list -}}
{{- $patterns := list -}}
{{- range .Values.prometheusRule.serverJobs -}}
{{- with . -}}
{{- $jobs = append $jobs . -}}
{{- $patterns = append $patterns (regexQuoteMeta .) -}}
{{- end -}}
{{- end -}}
{{- if $jobs -}}
{{- printf "max by (job) (last_over_time(up{job=~%q}[6m])) == 0 or " (join "|" $patterns) -}}
{{- include "provider-metrics-exporter.forEachJob" (dict "form" "absent(up{job=%q})" "jobs" $jobs) -}}
{{- end -}}
{{- end }}

{{/* Replacements of job names in the rules, as YAML. A rule is omitted if the replacement is empty. */}}
{{- define "provider-metrics-exporter.ruleTexts" -}}
{{- $rule := .Values.prometheusRule -}}
{{- $jobs := concat (list .Values.job) ($rule.otherJobs | default list) | uniq -}}
{{- $servers := $rule.serverJobs | default dict -}}
{{- $texts := dict -}}
{{- range $form := list "absent(up{job=%q})" "group by (job) (up{job=%q})" -}}
{{- $each := include "provider-metrics-exporter.forEachJob" (dict "form" $form "jobs" $jobs) -}}
{{- $_ := set $texts (printf $form "provider_metrics") $each -}}
{{- end -}}
{{- range $job, $name := dict "otel-collector" $servers.otelCollector "alertmanager" $servers.alertmanager -}}
{{- $_ := set $texts (printf "{job=%q}" $job) ($name | empty | ternary "" (printf "{job=%q}" $name)) -}}
{{- end -}}
{{- $serverDown := `max by (job) (last_over_time(up{job=~"prometheus|alertmanager|loki|tempo|otel-collector|grafana"}[6m])) == 0` -}}
{{- $_ := set $texts $serverDown (include "provider-metrics-exporter.serverDown" .) -}}
{{- toYaml $texts -}}
{{- end }}

{{/* Each threshold in a field of an alert: its text in prometheus/rules/, and the text with the value, by the name of the value, as YAML. */}}
{{- define "provider-metrics-exporter.thresholds" -}}
{{- $values := .Values.prometheusRule.thresholds | default dict -}}
{{- range tuple
  (tuple "providerDownFor"     "GatewayzProviderDown"        "for"  "%s" "2m")
  (tuple "providerDegradedFor" "GatewayzProviderDegraded"    "for"  "%s" "30m")
  (tuple "healthChanges"       "GatewayzProviderFlapping"    "expr" ":held1h >= %s" "6")
  (tuple "slowFactor"          "GatewayzProviderSlow"        "expr" " > %s * job_provider:" "3")
  (tuple "slowSeconds"         "GatewayzProviderSlow"        "expr" ":held > %s\n" "1")
  (tuple "healthyRatio"        "GatewayzProvidersHealthyLow" "expr" ":ratio < %s" "0.5")
  (tuple "overdueRatio"        "GatewayzHealthChecksOverdue" "expr" ":ratio > %s" "0.25")
  (tuple "certificateDays"     "GatewayzCertificateExpiring" "expr" "< %s * 86400" "14")
-}}
{{- $name := index . 0 -}}
{{- $form := index . 3 -}}
{{- $default := index . 4 }}
{{ $name }}:
  alert: {{ index . 1 }}
  field: {{ index . 2 }}
  text: {{ printf $form $default | quote }}
  replacement: {{ get $values $name | default $default | toString | printf $form | quote }}
{{- end }}
{{- end }}

{{/* Rules of prometheus/local.example.yml from the values, as YAML; empty without any. */}}
{{- define "provider-metrics-exporter.localRules" -}}
{{- $rules := list -}}
{{- range $severity, $providers := dict "critical" .criticalProviders "none" .mutedProviders -}}
{{- range $providers -}}
{{- $labels := dict "provider" . "severity" $severity -}}
{{- $rules = append $rules (dict "record" "provider:gatewayz_alert_severity:info" "expr" "vector(1)" "labels" $labels) -}}
{{- end -}}
{{- end -}}
{{- with .objective -}}
{{- $expr := printf "vector(%v)" . -}}
{{- $rules = append $rules (dict "record" "global:gatewayz_uptime_objective:ratio" "expr" $expr) -}}
{{- end -}}
{{- if $rules -}}
{{- dict "groups" (list (dict "name" "gatewayz_local" "rules" $rules)) | toYaml -}}
{{- end -}}
{{- end }}

{{/* One PrometheusRule. */}}
{{- define "provider-metrics-exporter.prometheusRule" -}}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {{ include "provider-metrics-exporter.fullname" .root }}-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "provider-metrics-exporter.labelsWith" (list .root .root.Values.prometheusRule.labels) | nindent 4 }}
spec:
  {{- .spec | nindent 2 }}
{{- end }}
