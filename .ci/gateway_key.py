"""A detector of the gateway's keys for detect-secrets."""

from __future__ import annotations

import re

from detect_secrets.plugins.base import RegexBasedDetector


class GatewayKeyDetector(RegexBasedDetector):
    """Finds keys by their prefix."""

    # The name in reports.
    secret_type = "Gateway Key"  # noqa: S105  # pragma: allowlist secret
    denylist = (re.compile(r"\bgw_(?:live|test)_[A-Za-z0-9_-]{16,}"),)
