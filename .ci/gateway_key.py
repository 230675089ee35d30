"""Teaches detect-secrets the keys of the gateway, which look like nothing that it knows."""

from __future__ import annotations

import re

from detect_secrets.plugins.base import RegexBasedDetector


class GatewayKeyDetector(RegexBasedDetector):
    """Finds keys by the prefix that the gateway gives them."""

    # The name of the kind, as reports show it.
    secret_type = "Gateway Key"  # noqa: S105  # pragma: allowlist secret
    denylist = (re.compile(r"\bgw_(?:live|test)_[A-Za-z0-9_-]{16,}"),)
