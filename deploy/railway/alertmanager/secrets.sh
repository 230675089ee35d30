#!/bin/sh
# Railway provides secrets as variables only: writes them to files for start.sh, then executes it.
set -eu

umask 077
for name in SLACK_API_URL SMTP_AUTH_PASSWORD MSTEAMS_WEBHOOK_URL PAGERDUTY_ROUTING_KEY WEBHOOK_URL WATCHDOG_URL; do
  eval "value=\${$name:-}"
  if [ -n "$value" ]; then
    file=${TMPDIR:-/tmp}/$name
    printf '%s' "$value" >"$file"
    export "${name}_FILE=$file"
  fi
  unset "$name"
done

exec /bin/sh "${0%/*}/start.sh" "$@"
