"""systemd runs the unit and the commands of its page, on a machine that it has booted in namespaces."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter import SERVICE_NAME
from tests.certificates import PASSWORD, USER, Folder, hashed
from tests.namespaces import require_namespaces
from tests.stack.booted import PACKAGES, PYTHON, SOURCE, Booted
from tests.verify.docs.commands import commands
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(
    not (Path("/lib/systemd/systemd").exists() and shutil.which("dbus-daemon")),
    reason="no systemd and dbus-daemon on this machine: the unit is not run",
)

PREFIX, FOLDER = f"/opt/{SERVICE_NAME}", f"/etc/{SERVICE_NAME}"
PROGRAM = f"{PREFIX}/bin/{SERVICE_NAME}"
GATEWAY = "127.0.0.1:8099"
KEY = "key-of-the-unit"
PAGE = "docs/deployment/systemd.md"
LINES = [line for block in commands() if block.page == PAGE for line in block.lines()]
ENCRYPTED, WEB = (block.text for block in commands("ini") if block.page == PAGE)
"""Drop-ins of the page."""
INSTALLED = f"""
set -e
# A shared library of Python would otherwise be looked for in the home directory that it was built for.
echo {PYTHON}/lib > /etc/ld.so.conf.d/00-tests.conf && ldconfig
{PYTHON}/bin/python3 -m venv --without-pip {PREFIX}
printf '%s\\n' {SOURCE} {PACKAGES} > $(echo {PREFIX}/lib/python3*/site-packages)/tests.pth
printf '%s\\n' '#!{PREFIX}/bin/python' 'from exporter.__main__ import main' 'main()' > {PROGRAM}
chmod +x {PROGRAM}
ADMIN_KEY={KEY} setsid {PROGRAM} demo --gateway-only --listen {GATEWAY} > /dev/null 2>&1 &
"""
"""What the page's commands of python3 and pip do, without an index of packages; and a gateway."""
DROP_INS = f"/etc/systemd/system/{SERVICE_NAME}.service.d"


def of_the_page(beginning: str) -> str:
    """Return the page's lines that begin with a text, as a script."""
    lines = [line for line in LINES if line.startswith(beginning)]
    assert lines, beginning
    return "\n".join(lines)


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """A machine with the installed unit, and a gateway."""
    require_namespaces()
    with ExitStack() as stack:
        try:
            machine = stack.enter_context(Booted(tmp_path_factory.mktemp("machine")))
        except OSError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"systemd does not boot here: {error}")
        assert (0, "") == machine.run(INSTALLED)
        assert (0, "") == machine.run(of_the_page("install "))
        yield machine


@pytest.fixture
def service(booted: Booted) -> Iterator[Booted]:
    """The running service, with valid settings and restarts at once."""
    booted.run(
        f"echo GATEWAY_API_URL=http://{GATEWAY} > {FOLDER}/environment; echo {KEY} > {FOLDER}/admin_key; "
        f"mkdir -p {DROP_INS}; printf '[Service]\\nRestartSec=10ms\\n' > {DROP_INS}/fast.conf"
    )
    assert 0 == booted.run(of_the_page("systemctl daemon-reload"))[0]
    assert 0 == booted.run(of_the_page("systemctl enable"))[0]
    wait_until(lambda: booted.run(of_the_page("curl "))[1] == "Ready\n")
    yield booted
    booted.run(f"systemctl stop {SERVICE_NAME}; systemctl reset-failed {SERVICE_NAME}; rm -r {DROP_INS}")


def add(machine: Booted, drop_in: str) -> None:
    """Add a drop-in, and restart the service; its restart is over if it is ready."""
    machine.run(f"cat > {DROP_INS}/added.conf <<'END'\n{drop_in}\nEND")
    assert (0, "") == machine.run(f"systemctl daemon-reload && systemctl restart {SERVICE_NAME}")


def shown(machine: Booted, name: str) -> str:
    """Return a property of the service."""
    return machine.run(f"systemctl show --value --property={name} {SERVICE_NAME}")[1].strip()


def test_start_and_stop(service: Booted) -> None:
    """The commands of the page start it, as a dynamic user that alone reads its key; a stop is a success."""
    code, status = service.run(of_the_page("systemctl status"))
    process = shown(service, "MainPID")
    user = service.run(f"stat -c %U /proc/{process}")[1].strip()
    secret = f"/run/credentials/{SERVICE_NAME}.service/admin_key"

    assert (0, True) == (code, "Updated provider metrics" in status)
    assert SERVICE_NAME == user
    assert (0, f"400 {user}\n") == service.run(f"stat -c '%a %U' {secret}")
    assert 0 == service.run(f"systemctl stop {SERVICE_NAME}")[0]
    assert ("inactive", "success") == (shown(service, "ActiveState"), shown(service, "Result"))


def test_reload(service: Booted) -> None:
    """A reload keeps the process, and its result is in the journal."""
    before = shown(service, "MainPID")

    assert (0, "") == service.run(f"systemctl reload {SERVICE_NAME}")
    wait_until(lambda: "Admin key unchanged" in service.run(f"journalctl -o cat -u {SERVICE_NAME}")[1])
    assert ("active", before) == (shown(service, "ActiveState"), shown(service, "MainPID"))


def test_restart(service: Booted) -> None:
    """It is started again after it was killed."""
    before = shown(service, "MainPID")
    service.run(f"kill -KILL {before}")

    wait_until(lambda: shown(service, "MainPID") not in ("0", before))
    assert "1" == shown(service, "NRestarts")


def test_reload_during_the_start(service: Booted) -> None:
    """It is started again if a reload kills it, as before it handles the signal."""
    # In place of the first moments of Python.
    lines = r"[Service]\nExecStart=\nExecStart=/bin/sleep 1000\n"
    service.run(f"printf '{lines}' > {DROP_INS}/early.conf; systemctl daemon-reload")
    service.run(f"systemctl restart {SERVICE_NAME}")
    before = shown(service, "MainPID")

    assert (0, "") == service.run(f"systemctl reload {SERVICE_NAME}")
    wait_until(lambda: shown(service, "MainPID") not in ("0", before))


def test_invalid_settings(service: Booted) -> None:
    """It stays down with exit code 2, and its status has the problem."""
    service.run(f"echo METRICS_PORT=x >> {FOLDER}/environment; systemctl restart {SERVICE_NAME}")
    wait_until(lambda: shown(service, "ActiveState") == "failed")

    assert ("2", "0") == (shown(service, "ExecMainStatus"), shown(service, "NRestarts"))
    assert "METRICS_PORT=" in service.run(f"systemctl status {SERVICE_NAME}")[1]


def test_address_in_use(service: Booted) -> None:
    """It tries again after exit code 3."""
    service.run(f"systemctl stop {SERVICE_NAME}")
    service.run(
        f"echo METRICS_PORT={GATEWAY.partition(':')[2]} >> {FOLDER}/environment; "
        f"echo METRICS_HOST=127.0.0.1 >> {FOLDER}/environment; systemctl start {SERVICE_NAME}"
    )

    wait_until(lambda: int(shown(service, "NRestarts")) > 1)
    assert "status=3" in service.run(f"journalctl -o cat -u {SERVICE_NAME}")[1]


def test_encrypted_key(service: Booted) -> None:
    """The service and `check` work with a key that is encrypted by the commands of the page."""
    code, output = service.run(of_the_page("systemd-creds "))
    assert 0 == code, output
    assert (0, "") == service.run(of_the_page("rm "))
    add(service, ENCRYPTED)

    wait_until(lambda: service.run(of_the_page("curl "))[1] == "Ready\n")
    before = f"LoadCredential=admin_key:{FOLDER}/admin_key"
    after = f"LoadCredentialEncrypted=admin_key:{FOLDER}/admin_key.cred"
    assert 0 == service.run(of_the_page("systemd-run ").replace(before, after))[0]


def test_web_configuration(service: Booted, tmp_path: Path) -> None:
    """TLS and passwords come from credentials, for the service and, by the same properties, for `doctor`."""
    folder = Folder(tmp_path)
    folder.write(tls={}, basic_auth_users={USER: hashed()})
    for path in (folder.file, *tmp_path.glob("server.*"), Path(folder.ca_path)):
        name = "ca.pem" if path.suffix == ".pem" else path.name
        service.run(f"cat > {FOLDER}/{name} <<'END'\n{path.read_text(encoding='utf-8')}\nEND")
    add(service, WEB)
    ready = f"curl -s --cacert {FOLDER}/ca.pem https://localhost:8001/-/ready"
    wait_until(lambda: service.run(ready)[1] == "Ready\n")

    added = re.findall("^LoadCredential=.*", WEB, re.MULTILINE)
    variables = {
        "REQUESTS_CA_BUNDLE": f"{FOLDER}/ca.pem",
        "EXPORTER_USER": USER,
        "EXPORTER_PASSWORD": PASSWORD,
    }
    options = [f"--property={line}" for line in added]
    options += [f"--setenv={name}={value}" for name, value in variables.items()]
    command = of_the_page("systemd-run ").removesuffix("check") + "doctor"
    command = command.replace("systemd-run ", f"systemd-run {' '.join(options)} ")
    command = command.replace(
        "'ADMIN_KEY_FILE=", "'WEB_CONFIG_FILE=$CREDENTIALS_DIRECTORY/web.yml ADMIN_KEY_FILE="
    )
    code, text = service.run(command)
    assert (0, True) == (code, "ok         web configuration       TLS, 1 user\n" in text), text
    assert "ok         exporter poll " in text


def test_check_and_doctor(service: Booted) -> None:
    """The command of the page has the settings and the key of the service, also while it is down."""
    command = of_the_page("systemd-run ")
    code, table = service.run(command)
    assert (0, True) == (code, table.startswith("ok     /providers "))

    doctor = command.removesuffix("check") + "doctor"
    code, text = service.run(doctor)
    assert (0, True) == (code, "ok         exporter poll " in text), text

    service.run(f"systemctl stop {SERVICE_NAME}; echo wrong > {FOLDER}/admin_key")
    code, text = service.run(doctor)
    assert (1, True, True) == (code, "FAILED     gateway key " in text, "FAILED     exporter " in text)
    service.run(f"rm {FOLDER}/environment; touch {FOLDER}/environment")
    assert 2 == service.run(command)[0]
