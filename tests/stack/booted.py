"""A machine that systemd has booted: namespaces of its own, on a root that is thrown away.

The root of this machine, under a layer in memory, is the root there; network, processes, mounts, names and
control groups are its own. Needs root.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.stack.substitution import ROOT
from tests.waiting import wait_until

BOOT_SECONDS = 60
PYTHON, PACKAGES, SOURCE = "/opt/python", "/opt/packages", "/opt/source"
"""Where a service finds the Python of the tests, which may be in a home directory here."""
GROUP = "provider-metrics-exporter-tests"

ENTER = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1" && cd "$1"
mkdir upper work root groups
mount -t cgroup2 cgroup2 groups
mkdir -p groups/$2 && echo $$ > groups/$2/cgroup.procs
exec unshare --cgroup --mount --pid --ipc --uts --fork --kill-child -- sh -c "$BOOT" boot "$3" "$4" "$5"
"""
"""Arguments: an empty folder, the name of the control group, and the three of BOOT."""
BOOT = f"""
set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
for name in proc sys dev run tmp; do mkdir -p root/$name; done
mount -t proc proc root/proc
# systemd raises limits of the kernel, which would be those of this machine.
mount --bind root/proc/sys root/proc/sys && mount -o remount,bind,ro root/proc/sys
mount -t sysfs -o ro sysfs root/sys
mount -t cgroup2 cgroup2 root/sys/fs/cgroup
for name in dev run tmp; do mount -t tmpfs tmpfs root/$name; done
for name in null zero full random urandom tty; do
    touch root/dev/$name && mount --bind /dev/$name root/dev/$name
done
mkdir root/dev/pts root/dev/shm
mount -t devpts devpts root/dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
touch root/dev/console
for place in "$1:{PYTHON}" "$2:{PACKAGES}" "$3:{SOURCE}"; do
    mkdir -p "root${{place#*:}}" && mount --bind "${{place%%:*}}" "root${{place#*:}}"
done
echo 0123456789abcdef0123456789abcdef > root/etc/machine-id
rm -rf root/etc/systemd/system && mkdir -p root/etc/systemd/system
# They would change this machine.
for name in systemd-modules-load systemd-sysctl systemd-udevd; do
    ln -s /dev/null root/etc/systemd/system/$name.service
done
printf '[Unit]\\nRequires=dbus.socket\\nAfter=dbus.socket\\n' > root/etc/systemd/system/tests.target
ip link set lo up
cd root && mkdir -p before && pivot_root . before && cd / && umount -l /before
# Credentials are mounted by a process beside systemd.
mount --make-rshared /
exec env -i PATH="$PATH" container=other /lib/systemd/systemd --system --unit=tests.target
"""
"""Arguments: prefix of Python, its packages, and the project's folder."""
REMOVE = 'mount -t cgroup2 cgroup2 "$1" && find "$1/$2" -depth -type d -exec rmdir {} +'


@dataclass
class Booted:
    """The machine; it runs within `with`."""

    folder: Path
    """An empty folder."""
    group: str = f"{GROUP}-{os.getpid()}"

    def __enter__(self) -> Self:
        """Boot.

        Raises:
            OSError: When the system does not allow it, with the output.
        """
        packages = sysconfig.get_path("purelib")
        own = [sys.base_prefix, packages, str(ROOT)]
        command = ["unshare", "--net", "--mount", "--", "sh", "-c", ENTER, "enter"]
        self._log = self.folder.with_suffix(".log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, str(self.folder), self.group, *own],
                env={**os.environ, "BOOT": BOOT}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_until(lambda: self._process.poll() is not None or self._is_running(), BOOT_SECONDS)
            if self._process.poll() is not None:
                raise OSError(f"systemd did not boot: {self._log.read_text(encoding='utf-8')}")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill everything."""
        self._end()

    def run(self, script: str, seconds: float = 60) -> tuple[int, str]:
        """Run a script as root there, in the project's folder; return exit code and output."""
        there = ["nsenter", f"--target={self._systemd()}", "--all", "--"]
        command = [*there, "sh", "-c", f"cd {SOURCE}; {script}"]
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=seconds, check=False,
        )  # fmt: skip
        return result.returncode, result.stdout

    def _systemd(self) -> int:
        """Return the process id of systemd: the only child of `unshare`."""
        task = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(task.read_text(encoding="ascii").split()[0])

    def _is_running(self) -> bool:
        try:
            return self.run("systemctl is-system-running")[1].strip() in ("running", "degraded")
        except (OSError, LookupError):
            return False

    def _end(self) -> None:
        self._process.kill()
        self._process.wait(BOOT_SECONDS)
        command = ["unshare", "--mount", "--", "sh", "-c", REMOVE, "remove", str(self.folder), self.group]
        wait_until(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)
