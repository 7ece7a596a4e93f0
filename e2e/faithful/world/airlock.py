"""Daemons of the same agent: they pass descriptors or stream, with the tools in boxes or not."""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.faithful.runner.ways import UNBOXED
from e2e.faithful.world.ground import Ground
from e2e.faithful.world.modules import PROFILE_SET, Grant
from e2e.world.account import BOX_USER
from e2e.world.daemon import Daemon

_AGENT = "faithful"
_VARIABLES = ", ".join(f"{name} = {json.dumps(value)}" for name, value in PROFILE_SET.items())
_HOSTS = '[ssh]\nhosts = ["host", "stranger", "unknown", "changed", "nobody", "behind"]\n'
_PROFILE = (
    f"commands = []\n\n[env]\nset = {{ {_VARIABLES} }}\n\n[workspace]\nhost = true\n\n{_HOSTS}"
)


def socket_folder(ground: Ground, daemon: str) -> Path:
    """Return the directory of the agent's socket with that daemon."""
    return ground.airlock[daemon].socket(_AGENT).parent


@contextmanager
def running_daemons(
    ground: Ground,
    *,
    executable: Path,
    grants: Mapping[str, Grant],
    daemons: Collection[str],
) -> Iterator[None]:
    """Run each of `daemons` for as long as the context lasts."""
    with ExitStack() as stack:
        for daemon in daemons:
            files = ground.airlock[daemon]
            unboxed = daemon.startswith(UNBOXED)
            modules = {
                name: text
                for name, grant in grants.items()
                if (text := grant.unboxed if unboxed and grant.unboxed else grant.text)
            }
            passes = "true" if daemon.endswith("descriptors") else "false"
            boxes = f'\n[sandbox]\nuser = "{BOX_USER}"\n' if os.geteuid() == 0 else ""
            files.enable(sorted(grants), more=f"\n[daemon]\npass_descriptors = {passes}\n{boxes}")
            files.add_agent(_AGENT, profile=_PROFILE, modules=modules)
            stack.enter_context(
                Daemon(
                    files.argv([executable]),
                    said=files.said,
                    sockets=files.list_sockets,
                    environment=ground.environment,
                )
            )
        yield
