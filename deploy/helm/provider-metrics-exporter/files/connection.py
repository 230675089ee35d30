"""Asks an exporter for /-/ready and /metrics until both answer; `helm test` runs it in a pod.

Arguments: the exporter's URL, and `client-certificate` if it requires one. The pod has no password and no
certificate: a refusal for the lack of one counts as an answer. The server's certificate is not verified,
since its name need not be the Service's.
"""

import ssl
import sys
import time
import urllib.error
import urllib.request

SECONDS = 60.0
PATHS = ("/-/ready", "/metrics")
CONTEXT = ssl._create_unverified_context()


def answer(url: str, needs_certificate: bool) -> tuple[bool, str]:
    """Return whether a URL answers as it should, and how."""
    try:
        with urllib.request.urlopen(url, timeout=5, context=CONTEXT) as response:
            return not needs_certificate, str(response.status)
    except urllib.error.HTTPError as error:
        return error.code == 401, f"{error.code} {error.reason}"
    except urllib.error.URLError as error:
        return False, str(error.reason)
    except OSError as error:
        # The server's half of the handshake has succeeded, or this would be a URLError.
        refused = isinstance(error, ssl.SSLError | ConnectionResetError)
        return needs_certificate and refused, f"without a client certificate: {error}"


def main(root: str, *options: str) -> int:
    """Print how each path answers, and return the exit code."""
    deadline = time.monotonic() + SECONDS
    while True:
        answers = {path: answer(root + path, "client-certificate" in options) for path in PATHS}
        succeeded = all(right for right, _ in answers.values())
        if succeeded or time.monotonic() > deadline:
            break
        time.sleep(1)
    for path, (right, text) in answers.items():
        print("ok    " if right else "FAILED", root + path, text)
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
