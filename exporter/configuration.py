"""Loads the settings and the files that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.config import flags
from exporter.config.quotes import unquoted
from exporter.config.settings import Settings, load_settings
from exporter.errors import SettingsError

if TYPE_CHECKING:
    from exporter.metrics.custom.config import CustomMetricsVersion
    from exporter.webconfig.config import WebConfigVersion

WEB_CONFIG_FILES = (flags.WEB_CONFIG_FILE, "WEB_CONFIG_FILE")
"""Flag and variable of the web configuration file, in order of precedence."""
CUSTOM_METRICS_FILE = "CUSTOM_METRICS_FILE"


@dataclass(frozen=True, slots=True)
class Configuration:
    """Valid settings and files."""

    settings: Settings
    web_file: WebConfigVersion | None
    custom: CustomMetricsVersion | None


def load_configuration(environ: Mapping[str, str]) -> Configuration:
    """Read the environment, and the files that it names.

    Raises:
        SettingsError: With all problems of all of them.
    """
    web_file, custom = read_web_file(environ), read_custom_metrics(environ)
    files = {_web_config_source(environ): web_file, CUSTOM_METRICS_FILE: custom}
    problems = [f"{name}: {problem}" for name, file in files.items() if file for problem in file.problems]
    try:
        settings = load_settings(environ)
    except SettingsError as error:
        raise SettingsError([*error.problems, *problems]) from error
    if problems:
        raise SettingsError(problems)
    return Configuration(settings, web_file, custom)


def read_web_file(environ: Mapping[str, str]) -> WebConfigVersion | None:
    """Return the web configuration file, with any problems; None if none is set."""
    path = unquoted(environ.get(_web_config_source(environ), "").strip())
    if not path:
        return None
    # YAML and bcrypt are slow to import.
    from exporter.webconfig.config import read

    return read(Path(path))


def _web_config_source(environ: Mapping[str, str]) -> str:
    return next((name for name in WEB_CONFIG_FILES if environ.get(name, "").strip()), WEB_CONFIG_FILES[-1])


def read_custom_metrics(environ: Mapping[str, str]) -> CustomMetricsVersion | None:
    """Return the file of the custom metrics, with any problems; None if none is set."""
    path = unquoted(environ.get(CUSTOM_METRICS_FILE, "").strip())
    if not path:
        return None
    # JMESPath is slow to import.
    from exporter.metrics.custom.config import read

    return read(Path(path))
