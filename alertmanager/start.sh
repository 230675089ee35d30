#!/bin/sh
# Starts Alertmanager with the notification channels of the environment, because Alertmanager does not read environment
# variables. Reports all problems at once, one per line, and exits with code 2.
# Secrets stay in their files, which Alertmanager reads for each notification. Arguments are passed to Alertmanager.
set -eu

own=$(cd "${0%/*}" && pwd)
rendered=${TMPDIR:-/tmp}/alertmanager
carriage_return=$(printf '\r')
wrong=

problem() {
  echo "alertmanager/start.sh: $*" >&2
  wrong=yes
}

# The checks take the name of a variable. They never print a value, because it may be a misplaced secret.
check_line() {
  eval "value=\${$1:-}"
  case $value in
    *[[:cntrl:]]*) problem "$1 has a line break or another control character: write it in one line." ;;
  esac
}

check_boolean() {
  eval "value=\${$1:-}"
  case $value in
    '' | true | false) ;;
    *) problem "$1 is neither true nor false: set one of them, or leave it empty." ;;
  esac
}

check_root() {
  eval "value=\${$1:-}"
  case $value in
    '') ;;
    *[!]A-Za-z0-9._~:/%+,=[-]*) problem "$1 has invalid characters: whitespace, quotes, ?, # and @ are not allowed." ;;
    http://[!/]* | https://[!/]*) ;;
    *) problem "$1 is not a URL: it must begin with http:// or https://." ;;
  esac
}

check_addresses() {
  eval "value=\${$1:-}"
  before=$IFS
  IFS=,
  set -f
  for address in $value; do
    case $address in
      *[!\ ]@[!\ ]*) ;;
      *) problem "$1 contains an invalid e-mail address: write name@example.com." ;;
    esac
  done
  set +f
  IFS=$before
}

# Sets `secret` to the content of the file without the trailing line break.
check_secret() {
  eval "value=\${$1:-}"
  if [ ! -e "$value" ]; then
    problem "$1 names a file that does not exist: create it."
  elif ! secret=$(cat "$value" 2>/dev/null); then
    problem "$1 names a file that cannot be read: user $(id -u) must be able to read it."
  elif secret=${secret%"$carriage_return"} && [ -z "$secret" ]; then
    problem "$1 names an empty file: write the secret to it."
  else
    return 0
  fi
  return 1
}

check_url_file() {
  eval "value=\${$1:-}"
  if [ -n "$value" ] && check_secret "$1"; then
    case $secret in
      *[[:space:]]*) problem "$1 names a file with more than a URL: write only the URL." ;;
      http://[!/]* | https://[!/]*) ;;
      *) problem "$1 names a file without a URL: it must begin with https:// or http://." ;;
    esac
  fi
}

check_slack() {
  if [ -n "${SLACK_CHANNEL:-}" ] && [ -z "${SLACK_API_URL_FILE:-}" ]; then
    problem "SLACK_CHANNEL is set without SLACK_API_URL_FILE: set the file with the webhook's URL as well."
  fi
}

check_pagerduty() {
  if [ -n "${PAGERDUTY_ROUTING_KEY_FILE:-}" ] && check_secret PAGERDUTY_ROUTING_KEY_FILE && [ ${#secret} -ne 32 ]; then
    problem "PAGERDUTY_ROUTING_KEY_FILE names a file without an integration key: a key has 32 characters."
  fi
}

check_smarthost() {
  host=${SMTP_SMARTHOST%:*}
  port=${SMTP_SMARTHOST##*:}
  case $SMTP_SMARTHOST in
    *:*) ;;
    *) port= ;;
  esac
  case $host in
    \[*\]) host=${host#\[} host=$(echo "${host%\]}" | sed 's/:/-/g') ;;
  esac
  case $host/$port in
    /* | */ | *[!A-Za-z0-9._-]*/* | */*[!0-9]* | */??????*)
      problem "SMTP_SMARTHOST is not host:port: write for example mail.example.com:587." ;;
  esac
}

check_email() {
  if [ -n "${SMTP_SMARTHOST:-}${SMTP_FROM:-}${EMAIL_TO:-}${SMTP_AUTH_USERNAME:-}${SMTP_AUTH_PASSWORD_FILE:-}" ]; then
    [ -n "${SMTP_SMARTHOST:-}" ] || problem "SMTP_SMARTHOST is not set: e-mail needs a mail server, as host:port."
    [ -n "${SMTP_FROM:-}" ] || problem "SMTP_FROM is not set: e-mail needs a sender's address."
    [ -n "${EMAIL_TO:-}" ] || problem "EMAIL_TO is not set: e-mail needs a recipient; separate several by commas."
  fi
  [ -z "${SMTP_SMARTHOST:-}" ] || check_smarthost
  check_addresses SMTP_FROM
  case ${SMTP_FROM:-} in
    *,*) problem "SMTP_FROM has more than one address: set only one." ;;
  esac
  check_addresses EMAIL_TO
  if [ -n "${SMTP_AUTH_PASSWORD_FILE:-}" ]; then
    check_secret SMTP_AUTH_PASSWORD_FILE || :
    [ -n "${SMTP_AUTH_USERNAME:-}" ] ||
      problem "SMTP_AUTH_PASSWORD_FILE is set without SMTP_AUTH_USERNAME: set the user of that password as well."
  elif [ -n "${SMTP_AUTH_USERNAME:-}" ]; then
    problem "SMTP_AUTH_USERNAME is set without SMTP_AUTH_PASSWORD_FILE: set the file with the password as well."
  fi
}

check_readers() {
  if [ "${NOTIFY_HEALTH_CHANGES:-}" = true ] &&
    [ -z "${SLACK_API_URL_FILE:-}${SMTP_SMARTHOST:-}${MSTEAMS_WEBHOOK_URL_FILE:-}${WEBHOOK_URL_FILE:-}" ]; then
    problem "NOTIFY_HEALTH_CHANGES is true without a channel for it: set e-mail, Slack, Teams or a webhook."
  fi
}

# Prints a text as a YAML string in single quotes.
quoted() {
  printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"
}

# Each of these prints the receiver integration of a channel if it is configured. The last argument is `send_resolved`.
slack() {
  [ -z "${SLACK_API_URL_FILE:-}" ] || cat <<END
    slack_configs:
      - api_url_file: $(quoted "$SLACK_API_URL_FILE")
        channel: $(quoted "${SLACK_CHANNEL:-}")
        send_resolved: $1
        color: '{{ template "gatewayz.slack.color" . }}'
        title: '{{ template "gatewayz.slack.title" . }}'
        text: '{{ template "gatewayz.slack.text" . }}'
        fallback: '{{ template "gatewayz.slack.title" . }}'
END
}

email() {
  [ -z "${SMTP_SMARTHOST:-}" ] || cat <<END
    email_configs:
      - smarthost: $(quoted "$SMTP_SMARTHOST")
        require_tls: ${SMTP_REQUIRE_TLS:-true}
        auth_username: $(quoted "${SMTP_AUTH_USERNAME:-}")
        auth_password_file: $(quoted "${SMTP_AUTH_PASSWORD_FILE:-}")
        from: $(quoted "$SMTP_FROM")
        to: $(quoted "$EMAIL_TO")
        send_resolved: $1
        headers: {Subject: '{{ template "gatewayz.email.subject" . }}'}
        text: '{{ template "gatewayz.email.text" . }}'
        html: '{{ template "gatewayz.email.html" . }}'
END
}

msteams() {
  [ -z "${MSTEAMS_WEBHOOK_URL_FILE:-}" ] || cat <<END
    msteamsv2_configs:
      - webhook_url_file: $(quoted "$MSTEAMS_WEBHOOK_URL_FILE")
        send_resolved: $1
        title: '{{ template "gatewayz.msteams.title" . }}'
        text: '{{ template "gatewayz.msteams.text" . }}'
END
}

# The first argument is the file with the URL.
webhook() {
  [ -z "$1" ] || cat <<END
    webhook_configs:
      - url_file: $(quoted "$1")
        send_resolved: $2
END
}

# A group of alerts is one incident, which PagerDuty resolves when all of them are resolved.
pagerduty() {
  [ -z "${PAGERDUTY_ROUTING_KEY_FILE:-}" ] || cat <<END
    pagerduty_configs:
      - routing_key_file: $(quoted "$PAGERDUTY_ROUTING_KEY_FILE")
        send_resolved: true
        description: '{{ template "gatewayz.pagerduty.summary" . }}'
        severity: '{{ template "gatewayz.pagerduty.severity" . }}'
        source: '{{ template "gatewayz.pagerduty.source" . }}'
        class: '{{ .CommonLabels.alertname }}'
        component: '{{ .CommonLabels.provider }}'
        group: '{{ .CommonLabels.category }}'
        client: GatewayZ provider metrics
        client_url: '{{ .ExternalURL }}'
        links:
          - {text: Runbook, href: '{{ template "gatewayz.pagerduty.runbook" . }}'}
          - {text: Dashboard, href: '{{ template "gatewayz.pagerduty.dashboard" . }}'}
          - {text: Logs, href: '{{ template "gatewayz.pagerduty.logs" . }}'}
        details:
          firing: '{{ template "gatewayz.pagerduty.alerts" .Alerts.Firing }}'
          resolved: '{{ template "gatewayz.pagerduty.alerts" .Alerts.Resolved }}'
END
}

channels() {
  slack "$1"
  email "$1"
  msteams "$1"
  webhook "${WEBHOOK_URL_FILE:-}" "$1"
}

# Prints the templates with the roots of links. Without RUNBOOK_URL a runbook is a path instead of a link.
roots() {
  echo "{{ define \"gatewayz.grafana\" }}${GRAFANA_URL%/}{{ end }}"
  echo "{{ define \"gatewayz.runbooks\" }}${RUNBOOK_URL:+${RUNBOOK_URL%/}/}{{ end }}"
  for kind in email msteams pagerduty; do
    form=path
    [ -z "${RUNBOOK_URL:-}" ] || form=link
    echo "{{ define \"gatewayz.$kind.runbook\" }}{{ template \"gatewayz.$kind.runbook.$form\" . }}{{ end }}"
  done
}

url_files="SLACK_API_URL_FILE MSTEAMS_WEBHOOK_URL_FILE WEBHOOK_URL_FILE WATCHDOG_URL_FILE"
for name in $url_files SLACK_CHANNEL PAGERDUTY_ROUTING_KEY_FILE SMTP_SMARTHOST SMTP_FROM EMAIL_TO SMTP_AUTH_USERNAME \
  SMTP_AUTH_PASSWORD_FILE GRAFANA_URL RUNBOOK_URL; do
  check_line "$name"
done
check_boolean SMTP_REQUIRE_TLS
check_boolean NOTIFY_HEALTH_CHANGES
check_root GRAFANA_URL
check_root RUNBOOK_URL
for name in $url_files; do
  check_url_file "$name"
done
check_slack
check_pagerduty
check_email
check_readers
mkdir -p "$rendered/templates" 2>/dev/null && [ -w "$rendered/templates" ] ||
  problem "TMPDIR, or /tmp, is not writable: the configuration is rendered there."
[ -z "$wrong" ] || exit 2

GRAFANA_URL=${GRAFANA_URL:-http://localhost:3000}
cp "$own"/templates/*.tmpl "$rendered/templates"
roots >"$rendered/templates/roots.tmpl"
channels true >"$rendered/people"
# A change of health is not resolved later.
{ [ "${NOTIFY_HEALTH_CHANGES:-}" != true ] || channels false; } >"$rendered/readers"
pagerduty >"$rendered/pager"
# The dead man's switch reacts to missing calls, not to a resolved alert.
webhook "${WATCHDOG_URL_FILE:-}" false >"$rendered/watchdog"
for receiver in people readers pager watchdog; do
  echo "/^  - name: $receiver\$/r $rendered/$receiver"
done >"$rendered/receivers.sed"
sed -f "$rendered/receivers.sed" "$own/alertmanager.yml" >"$rendered/alertmanager.yml"

exec alertmanager --config.file="$rendered/alertmanager.yml" "$@"
