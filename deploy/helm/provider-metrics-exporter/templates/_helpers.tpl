{{/* Name of the application, in labels. */}}
{{- define "provider-metrics-exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* Name of all objects. */}}
{{- define "provider-metrics-exporter.fullname" -}}
{{- $name := include "provider-metrics-exporter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Selector labels, which must not change during the life of a release. */}}
{{- define "provider-metrics-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "provider-metrics-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "provider-metrics-exporter.labels" -}}
{{ include "provider-metrics-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels with more of them, which cannot replace any: a list of the root and these. */}}
{{- define "provider-metrics-exporter.labelsWith" -}}
{{- merge (include "provider-metrics-exporter.labels" (first .) | fromYaml) (last . | default dict) | toYaml -}}
{{- end }}

{{/* Labels of the pod of `helm test`, which the Service must not select. */}}
{{- define "provider-metrics-exporter.testLabels" -}}
app.kubernetes.io/name: {{ include "provider-metrics-exporter.name" . | trunc 58 | trimSuffix "-" }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "provider-metrics-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "provider-metrics-exporter.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{/*
Mounted files, as a YAML list: the variable that names the file, the folder and the source of its volume. Folders,
because files mounted by name are never updated.
*/}}
{{- define "provider-metrics-exporter.files" -}}
{{- $fullname := include "provider-metrics-exporter.fullname" . -}}
{{- if eq .Values.adminKey.as "file" }}
- name: admin-key
  variable: ADMIN_KEY_FILE
  folder: /run/secrets/gateway
  file: admin-key
  source:
    secret:
      secretName: {{ .Values.adminKey.secretName }}
      defaultMode: 0440
      items:
        - key: {{ .Values.adminKey.key }}
          path: admin-key
{{- end }}
{{- with .Values.webConfig }}
{{- if or .secretName .content }}
- name: web-config
  variable: WEB_CONFIG_FILE
  folder: /run/secrets/web
  file: {{ .key }}
  source:
    secret:
      secretName: {{ .secretName | default (printf "%s-web" $fullname) }}
      defaultMode: 0440
{{- end }}
{{- end }}
{{- with .Values.customMetrics }}
{{- if or .configMapName .content }}
- name: custom-metrics
  variable: CUSTOM_METRICS_FILE
  folder: /run/config/custom-metrics
  file: {{ .key }}
  source:
    configMap:
      name: {{ .configMapName | default (printf "%s-custom-metrics" $fullname) }}
{{- end }}
{{- end }}
{{- with .Values.caBundle }}
{{- if or .configMapName .content }}
- name: ca-bundle
  variable: REQUESTS_CA_BUNDLE
  folder: /run/config/ca-bundle
  file: {{ .key }}
  source:
    configMap:
      name: {{ .configMapName | default (printf "%s-ca-bundle" $fullname) }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the pods of the exporter and of `helm test` have in common. */}}
{{- define "provider-metrics-exporter.pod" -}}
serviceAccountName: {{ include "provider-metrics-exporter.serviceAccountName" . }}
automountServiceAccountToken: false
# Otherwise a Service named metrics would set METRICS_PORT to an address.
enableServiceLinks: false
{{- with .Values.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "provider-metrics-exporter.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.securityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
resources: {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{/*
Probe of a health route. If it requires a certificate or a password, which the kubelet does not have, the probe runs
`healthcheck` in the container.
*/}}
{{- define "provider-metrics-exporter.probe" -}}
{{- $values := .root.Values -}}
{{- if or (eq $values.webConfig.tls "client") (eq (toString $values.settings.PROTECT_HEALTH_ROUTES) "true") -}}
exec:
  command: [python, -m, exporter, healthcheck]
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ ternary "HTTP" "HTTPS" (eq $values.webConfig.tls "none") }}
{{- end }}
timeoutSeconds: 5
{{- end }}

{{/* Fails with all missing or contradictory values at once. */}}
{{- define "provider-metrics-exporter.refuseProblems" -}}
{{- $problems := list -}}
{{- if not .Values.settings.GATEWAY_API_URL -}}
{{- $problems = append $problems "settings.GATEWAY_API_URL is not set: it is the root of the gateway, for example https://api.example.com." -}}
{{- end -}}
{{- if not .Values.adminKey.secretName -}}
{{- $problems = append $problems "adminKey.secretName is not set: it names the Secret that holds the gateway's admin key." -}}
{{- end -}}
{{- with .Values.webConfig -}}
{{- if and (ne .tls "none") (not (or .secretName .content)) -}}
{{- $problems = append $problems "webConfig.tls is set without webConfig.secretName or webConfig.content: one of them has the web configuration file." -}}
{{- end -}}
{{- end -}}
{{- range $group, $existing := dict "webConfig" "secretName" "customMetrics" "configMapName" "caBundle" "configMapName" -}}
{{- $value := index $.Values $group -}}
{{- if and $value.content (index $value $existing) -}}
{{- $problems = append $problems (printf "%s.content and %s.%s are both set: remove one of them." $group $group $existing) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- $problems = append $problems "ingress.enabled is set without ingress.host: it is the host name of the status page." -}}
{{- end -}}
{{- range .Values.prometheusRule.criticalProviders -}}
{{- if has . $.Values.prometheusRule.mutedProviders -}}
{{- $problems = append $problems (printf "prometheusRule.criticalProviders and prometheusRule.mutedProviders both contain %s: remove it from one of them." .) -}}
{{- end -}}
{{- end -}}
{{- with $problems -}}
{{- fail (printf "\n- %s" (join "\n- " .)) -}}
{{- end -}}
{{- end }}
