{{/* Fails with all missing or contradictory values at once. */}}
{{- define "exporter.refuseProblems" -}}
{{- $problems := list -}}
{{- if not .Values.settings.GATEWAY_API_URL -}}
{{- $problems = append $problems "settings.GATEWAY_API_URL is not set: it is the root of the gateway, for example https://api.example.com." -}}
{{- end -}}
{{- if not .Values.adminKey.secretName -}}
{{- $problems = append $problems "adminKey.secretName is not set: it names the Secret that holds the gateway's admin key." -}}
{{- end -}}
{{- if and (ne .Values.webConfig.tls "none") (not .Values.webConfig.secretName) -}}
{{- $problems = append $problems "webConfig.tls is set without webConfig.secretName: it names the Secret that holds the web configuration file." -}}
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
