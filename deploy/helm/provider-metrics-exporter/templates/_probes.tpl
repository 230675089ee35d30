{{/*
How a path of the health routes is asked. Where a certificate or a password is wanted the kubelet has none: there the
container asks itself, over its own socket, whether it is healthy.
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
