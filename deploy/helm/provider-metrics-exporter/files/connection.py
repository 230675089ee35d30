"""Asks an exporter for /-/ready and /metrics until both answer; `helm test` runs it in a pod.

It has no password and no client certificate: a refusal for the lack of one counts as an answer. It does not verify the
server's certificate, whose name can be another one than the Service's.
"""

import ssl
import sys
import time
import urllib.error
import urllib.request

SECONDS = 60.0
PATHS = ("/-/ready", "/metrics")
CONTEXT = ssl._create_unverified_context()  # noqa: S323


def answer(url: str) -> tuple[bool, str]:
    """Return whether a URL answers as it should, and how."""
    try:
        with urllib.request.urlopen(url, timeout=5, context=CONTEXT) as response:  # noqa: S310
            return True, str(response.status)
    except urllib.error.HTTPError as error:
        return error.code == 401, f"{error.code} {error.reason}"
    except OSError as error:
        return "CERTIFICATE_REQUIRED" in str(error), str(error)


def main(root: str) -> int:
    """Print how each path answers, and return the exit code."""
    deadline = time.monotonic() + SECONDS
    while True:
        answers = {path: answer(root + path) for path in PATHS}
        succeeded = all(right for right, _ in answers.values())
        if succeeded or time.monotonic() > deadline:
            break
        time.sleep(1)
    for path, (right, text) in answers.items():
        print("ok    " if right else "FAILED", root + path, text)
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
