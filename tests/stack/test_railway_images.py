"""The images for Railway are built by buildah from the Dockerfiles, on stand-ins for the servers' images."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from exporter import SERVICE_NAME
from tests.buildah import Buildah, Image, busybox_root
from tests.dockerfile import copies
from tests.namespaces import require_root
from tests.stack.substitution import ROOT
from tests.verify.test_railway import NAME, SERVICES, config, rows, stages

pytestmark = pytest.mark.needs("buildah", "busybox")

SERVERS = [service for service in SERVICES if service != SERVICE_NAME]
"""The exporter's image is that of every other deployment."""
PROVISIONING = {"/provisioning": "/etc/grafana/provisioning"}
"""Where a folder of the first stage ends up, if it is elsewhere."""

every_server = pytest.mark.parametrize("service", SERVERS)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Image]:
    """Builds a service's image once; each base is a busybox under the name of the server's image."""
    require_root()
    store = Buildah(tmp_path_factory.mktemp("images"))
    root = busybox_root(tmp_path_factory.mktemp("busybox"))
    for base in sorted({stage.base for service in SERVERS for stage in stages(service)}):
        store.base(base, root)
    return cache(lambda service: store.build(ROOT / config(service)["build"]["dockerfilePath"], ROOT))


@every_server
def test_files(image: Callable[[str], Image], service: str) -> None:
    """Every file of the copied folders is in the image, and none beside them: .dockerignore hides no file."""
    for source, target in copies(stages(service)):
        if (ROOT / source).is_file():
            assert (image(service).root / target.lstrip("/")).is_file()
            continue
        added = {"secrets.sh"} if service == "alertmanager" else set()
        expected = {str(path.relative_to(ROOT / source)) for path in (ROOT / source).rglob("*.*")} | added
        assert sorted(expected) == image(service).files(PROVISIONING.get(target, target))


@every_server
def test_addresses(image: Callable[[str], Image], service: str) -> None:
    """The files in the image have Railway's names only, and the same ones as those of the project."""
    before, after = [], []
    for source, target in copies(stages(service)):
        if (ROOT / source).is_dir() and source != "grafana/dashboards":
            place = PROVISIONING.get(target, target)
            for file in sorted((ROOT / source).rglob("*.y*ml")):
                inside = image(service).root / place.lstrip("/") / file.relative_to(ROOT / source)
                before += NAME.findall(file.read_text(encoding="utf-8"))
                after += NAME.findall(inside.read_text(encoding="utf-8"))

    names = [name.replace(":", ".railway.internal:") for name in before]
    assert names == after
    # Loki and Alertmanager are asked by others only.
    assert bool(names) is (service not in ("loki", "alertmanager"))


@every_server
def test_start(image: Callable[[str], Image], service: str) -> None:
    """It runs as root, who owns the volumes, exposes the page's port, and starts with files that exist."""
    built = image(service)
    arguments = [*built.config.get("Entrypoint", ()), *built.config.get("Cmd", ())]
    named = [argument.rpartition("=")[2] for argument in arguments]
    named += [value for value in built.environment.values() if value.endswith(".json")]

    assert "0:0" == built.config["User"]
    assert f"{rows()[service][0].strip('`')}/tcp" in built.config["ExposedPorts"]
    files = [path for path in named if path.startswith(("/etc/", "/var/lib/grafana/"))]
    assert files
    assert [] == [path for path in files if not (built.root / path.lstrip("/")).is_file()]
