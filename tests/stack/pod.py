"""A pod of the chart without a cluster: a folder for its files, and the real program with its environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from tests.process import run_program

Secrets = Mapping[str, Mapping[str, bytes]]
"""Content of Secrets and ConfigMaps by their names."""


class Pod:
    """What a Deployment's template makes of a node: mounted Secrets, variables and probes."""

    def __init__(self, template: Mapping[str, Any], root: Path, secrets: Secrets) -> None:
        """Mount every Secret that the pod names.

        Args:
            template: The pod, as rendered.
            root: The folder in the place of the container's root.
            secrets: The Secrets of the namespace.
        """
        self._secrets = dict(secrets)
        self._root = root
        (self._container,) = template["spec"]["containers"]
        self._volumes = {
            volume["name"]: volume.get("secret") or volume["configMap"]
            for volume in template["spec"].get("volumes", ())
        }
        for name in secrets:
            self.mount(name)

    def exchange(self, secret: str, content: Mapping[str, bytes]) -> None:
        """Let a Secret have another content, and the mounted files with it."""
        self._secrets[secret] = content
        self.mount(secret)

    def mount(self, secret: str) -> None:
        """Write a new folder of files, and replace the symbolic link to it, as the kubelet does."""
        for place in self._container.get("volumeMounts", ()):
            volume = self._volumes[place["name"]]
            if volume.get("secretName", volume.get("name")) != secret:
                continue
            content = self._secrets[secret]
            files = {item["key"]: item["path"] for item in volume.get("items", ())} or {k: k for k in content}
            folder = self.inside(place["mountPath"])
            data = folder / f"..data.{len(list(folder.glob('..data.*')))}"
            data.mkdir(parents=True)
            for key, path in files.items():
                (data / path).write_bytes(content[key])
            (folder / "..data_tmp").symlink_to(data.name)
            (folder / "..data_tmp").rename(folder / "..data")
            for path in files.values():
                if not (folder / path).is_symlink():
                    (folder / path).symlink_to(f"..data/{path}")

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the container's variables, with paths below the folder, and some of them changed."""
        variables = {variable["name"]: self._value(variable) for variable in self._container["env"]}
        return {**variables, **changes}

    def _value(self, variable: Mapping[str, Any]) -> str:
        if "valueFrom" in variable:
            source = variable["valueFrom"]["secretKeyRef"]
            return self._secrets[source["name"]][source["key"]].decode()
        text = str(variable["value"])
        return str(self.inside(text)) if text.startswith("/run/") else text

    def probe(self, kind: str, port: int, environment: Mapping[str, str]) -> bool:
        """Ask as the kubelet does: without a password, and without a look at the certificate."""
        probe = self._container[kind]
        if "exec" in probe:
            *python, command = probe["exec"]["command"]
            assert ["python", "-m", "exporter"] == python
            return run_program(command, **environment).returncode == 0
        ask = probe["httpGet"]
        url = f"{ask['scheme'].lower()}://127.0.0.1:{port}{ask['path']}"
        return requests.get(url, verify=False, timeout=probe["timeoutSeconds"]).status_code == 200

    def inside(self, path: str) -> Path:
        """Return where a path of the container is."""
        return self._root / path.lstrip("/")


def run_test(pod: Mapping[str, Any], root: str, seconds: float = 60.0) -> int:
    """Run the pod of `helm test` for an exporter of this machine, and return its exit code.

    Args:
        pod: As rendered; its command is Python with a script.
        root: The exporter's URL, in the place of the Service's.
        seconds: How long it waits for answers.
    """
    (container,) = pod["spec"]["containers"]
    python, option, script = container["command"]
    url, *options = container["args"]
    assert ("python", "-c") == (python, option)
    assert root.partition(":")[0] == url.partition(":")[0]
    assert "SECONDS = 60.0\n" in script
    script = script.replace("SECONDS = 60.0\n", f"SECONDS = {seconds}\n")
    return subprocess.run([sys.executable, option, script, root, *options], check=False).returncode
