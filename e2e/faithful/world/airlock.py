"""Two daemons of the same agent: one passes descriptors, the other streams."""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.faithful.world.ground import Ground
from e2e.faithful.world.modules import PROFILE_SET, Grant
from e2e.world.account import BOX_USER
from e2e.world.daemon import Daemon

_AGENT = "faithful"
_VARIABLES = ", ".join(f"{name} = {json.dumps(value)}" for name, value in PROFILE_SET.items())
_HOSTS = '[ssh]\nhosts = ["host", "stranger", "unknown", "nobody", "behind"]\n'
_PROFILE = (
    f"commands = []\n\n[env]\nset = {{ {_VARIABLES} }}\n\n[workspace]\nhost = true\n\n{_HOSTS}"
)


def socket_folder(ground: Ground, carriage: str) -> Path:
    """Return the directory of the agent's socket with the daemon for `carriage`."""
    return ground.airlock[carriage].socket(_AGENT).parent


@contextmanager
def running_daemons(
    ground: Ground,
    *,
    executable: Path,
    grants: Mapping[str, Grant],
    carriages: Collection[str],
    cloud_port: int,
) -> Iterator[None]:
    """Run a daemon for each of `carriages` for as long as the context lasts.

    The boxes of aws reach a cloud at `cloud_port` of this host.
    """
    profile = _PROFILE
    if "aws" in grants:
        profile += f'[network]\naws = ["127.0.0.1:{cloud_port}"]\n'
    modules = {name: grant.text for name, grant in grants.items() if grant.text is not None}
    with ExitStack() as stack:
        for carriage in carriages:
            files = ground.airlock[carriage]
            passes = "true" if carriage == "descriptors" else "false"
            boxes = f'\n[sandbox]\nuser = "{BOX_USER}"\n' if os.geteuid() == 0 else ""
            files.enable(sorted(grants), more=f"\n[daemon]\npass_descriptors = {passes}\n{boxes}")
            files.add_agent(_AGENT, profile=profile, modules=modules)
            stack.enter_context(
                Daemon(
                    files.argv([executable]),
                    said=files.said,
                    sockets=files.list_sockets,
                    environment=ground.environment,
                )
            )
        yield
