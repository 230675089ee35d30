{{/*
Probe of a health route. If it requires a certificate or a password, which the kubelet does not have, the probe runs
`healthcheck` in the container.
*/}}
{{- define "exporter.probe" -}}
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
