"""Everything that a person has set is read together, and every problem of it is told at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.configuration import load_given, read_web_file
from exporter.errors import SettingsError
from tests.certificates import Folder

GOOD = {"GATEWAY_API_URL": "http://localhost", "ADMIN_KEY": "test-admin-key"}
CUSTOM = """
metrics:
  - {name: rate_limit, help: Requests a minute., kind: gauge, from: provider, path: metadata.rate_limit}
"""


def test_no_files() -> None:
    """Both files may be left out, or be named by nothing but blanks."""
    for environ in (GOOD, {**GOOD, "WEB_CONFIG_FILE": " ", "CUSTOM_METRICS_FILE": ""}):
        given = load_given(environ)

        assert ("http://localhost", None, None) == (given.settings.gateway_url, given.web_file, given.custom)


def test_both_files(tmp_path: Path) -> None:
    """Files that are named are there as they were read."""
    folder, custom = Folder(tmp_path), tmp_path / "custom.yaml"
    folder.file.write_text("basic_auth_users: {}\n")
    custom.write_text(CUSTOM)

    given = load_given({**GOOD, "WEB_CONFIG_FILE": str(folder.file), "CUSTOM_METRICS_FILE": str(custom)})

    assert given.web_file is not None
    assert given.custom is not None
    assert (folder.file, ()) == (given.web_file.path, given.web_file.problems)
    assert ["rate_limit"] == [metric.name for metric in given.custom.metrics]


@pytest.mark.parametrize(
    ("environ", "before"),
    [(GOOD, ()), ({**GOOD, "LOG_LEVEL": "loud"}, ('LOG_LEVEL="loud"',))],
    ids=["files alone", "settings as well"],
)
def test_problems(tmp_path: Path, environ: dict[str, str], before: tuple[str, ...]) -> None:
    """Problems of the settings come first, then those of each file, by the variable that names it."""
    missing = str(tmp_path / "missing")
    with pytest.raises(SettingsError) as caught:
        load_given({**environ, "WEB_CONFIG_FILE": missing, "CUSTOM_METRICS_FILE": missing})

    names = [problem.partition(":")[0] for problem in caught.value.problems]
    assert [*before, "WEB_CONFIG_FILE", "CUSTOM_METRICS_FILE"] == names


def test_web_file_alone(tmp_path: Path) -> None:
    """Whoever asks for the web configuration file gets it with its problems."""
    reading = read_web_file({"WEB_CONFIG_FILE": str(tmp_path / "missing")})

    assert reading is not None
    assert 1 == len(reading.problems)
    assert read_web_file({}) is None


def test_nothing_is_imported_for_files_that_are_not_named() -> None:
    """YAML, bcrypt and JMESPath take their time to import."""
    code = (
        f"import sys; from exporter.configuration import load_given; load_given({GOOD}); "
        "print([name for name in ('yaml', 'bcrypt', 'jmespath') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == result.stdout
