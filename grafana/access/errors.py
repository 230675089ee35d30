"""What can go wrong, as values.

AccessError
├── InputError     the file or the environment cannot be used    exit code 2, before the first request
└── GrafanaError   Grafana did not answer, or refused            exit code 1
"""

from __future__ import annotations

from collections.abc import Sequence


class AccessError(Exception):
    """Base of the program's own errors; never raised itself."""


class InputError(AccessError):
    """The file or the environment cannot be used.

    Attributes:
        problems: One sentence for each problem, each free of secret values.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep every problem, in the order in which a person reads them."""
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class GrafanaError(AccessError):
    """Grafana did not answer, or not as it should; the text names cause and fix, and no secret.

    Attributes:
        is_passing: Whether it may go away by itself, as it does while Grafana starts.
    """

    def __init__(self, text: str, *, is_passing: bool = False) -> None:
        """Describe the failure."""
        super().__init__(text)
        self.is_passing = is_passing
