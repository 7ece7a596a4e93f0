"""Is there a container engine, and does it share this machine's files and processes?"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass

_PATIENCE_S = 20


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers on this machine."""

    cli: str
    """Absolute path of the ``docker`` program."""
    host: str
    """Its endpoint, ``unix://PATH``, good as ``DOCKER_HOST``."""

    def variables(self) -> dict[str, str]:
        """Return the environment for the CLI: this endpoint, whatever the current context."""
        variables = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
        return variables | {"DOCKER_HOST": self.host}


def find_engine() -> Engine | str:
    """Return the engine that the docker CLI talks to, or in words why there is none to use.

    Only one that runs rootful on this very kernel will do: a client in a virtual machine or a
    user namespace is not the process that the daemon sees on its socket.
    """
    cli = shutil.which("docker")
    if cli is None:
        return "there is no docker command"
    try:
        host = os.environ.get("DOCKER_HOST") or _ask(
            [cli, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
        )
        about = json.loads(_ask([cli, "info", "--format", "{{json .}}"]))
    except (subprocess.SubprocessError, OSError, ValueError):
        return "no Docker engine answers"
    if about.get("ServerErrors") or not about.get("ServerVersion"):
        return "no Docker engine answers"
    if not host.startswith("unix://"):
        return f"the Docker engine is not on this machine ({host})"
    options = ",".join(about.get("SecurityOptions") or ())
    if (
        "rootless" in options
        or "userns" in options
        or "Docker Desktop" in about.get("OperatingSystem", "")
    ):
        return "the Docker engine runs rootless, with user namespaces or in a virtual machine"
    return Engine(cli, host)


def _ask(command: list[str]) -> str:
    answer = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_PATIENCE_S
    )
    return answer.stdout.strip()
