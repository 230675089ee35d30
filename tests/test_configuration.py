"""Settings and files are loaded together, with all their problems."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.configuration import load_configuration, read_web_file
from exporter.errors import SettingsError
from tests.certificates import Folder

GOOD = {"GATEWAY_API_URL": "http://localhost", "ADMIN_KEY": "test-admin-key"}
CUSTOM = """
metrics:
  - {name: rate_limit, help: Requests a minute., kind: gauge, from: provider, path: metadata.rate_limit}
"""


def test_no_files() -> None:
    """Both files are optional; an empty variable counts as unset."""
    for environ in (GOOD, {**GOOD, "WEB_CONFIG_FILE": " ", "CUSTOM_METRICS_FILE": ""}):
        loaded = load_configuration(environ)

        assert ("http://localhost", None, None) == (
            loaded.settings.gateway_url,
            loaded.web_file,
            loaded.custom,
        )


def test_both_files(tmp_path: Path) -> None:
    """Files that are set are read."""
    folder, custom = Folder(tmp_path), tmp_path / "custom.yaml"
    folder.file.write_text("basic_auth_users: {}\n")
    custom.write_text(CUSTOM)

    loaded = load_configuration(
        {**GOOD, "WEB_CONFIG_FILE": str(folder.file), "CUSTOM_METRICS_FILE": str(custom)}
    )

    assert loaded.web_file is not None
    assert loaded.custom is not None
    assert (folder.file, ()) == (loaded.web_file.path, loaded.web_file.problems)
    assert ["rate_limit"] == [metric.name for metric in loaded.custom.metrics]


@pytest.mark.parametrize(
    ("environ", "before"),
    [(GOOD, ()), ({**GOOD, "LOG_LEVEL": "loud"}, ('LOG_LEVEL="loud"',))],
    ids=["files alone", "settings as well"],
)
def test_problems(tmp_path: Path, environ: dict[str, str], before: tuple[str, ...]) -> None:
    """Problems of settings precede those of files, which name their variable."""
    missing = str(tmp_path / "missing")
    with pytest.raises(SettingsError) as caught:
        load_configuration({**environ, "WEB_CONFIG_FILE": missing, "CUSTOM_METRICS_FILE": missing})

    names = [problem.partition(":")[0] for problem in caught.value.problems]
    assert [*before, "WEB_CONFIG_FILE", "CUSTOM_METRICS_FILE"] == names


def test_web_file_alone(tmp_path: Path) -> None:
    """The web configuration file alone is returned with its problems."""
    reading = read_web_file({"WEB_CONFIG_FILE": str(tmp_path / "missing")})

    assert reading is not None
    assert 1 == len(reading.problems)
    assert read_web_file({}) is None


def test_lazy_imports() -> None:
    """YAML, bcrypt and JMESPath are imported only for files that are set."""
    code = (
        f"import sys; from exporter.configuration import load_configuration; load_configuration({GOOD}); "
        "print([name for name in ('yaml', 'bcrypt', 'jmespath') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == result.stdout
