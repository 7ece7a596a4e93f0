"""Everything around the commands, made once a run: ground, servers, daemons, workspaces."""

import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.faithful.runner.entry import Entry
from e2e.faithful.runner.workspace import lay_out
from e2e.faithful.world.airlock import running_daemons
from e2e.faithful.world.ground import COMMIT_DATES, Ground
from e2e.faithful.world.modules import Grant, make_grants
from e2e.faithful.world.repositories import Repositories
from e2e.world import sshd
from e2e.world.terraform import install_terraform, makers


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What runs take place in.

    `missing` are the tools that cannot be run here, with the reason. No run may take longer than
    `patience` seconds.
    """

    ground: Ground
    grants: Mapping[str, Grant]
    missing: Mapping[str, str]
    patience: float

    def lay_out(self, entry: Entry) -> Path:
        """Return the workspace of `entry`, as it is before a run."""
        folder = self.ground.workspaces / entry.id
        templates = self.ground.templates
        names = [path.name for path in templates.iterdir()]
        lay_out(entry, folder, {name: _copier(templates / name) for name in names})
        if os.geteuid() == 0:
            # Whoever is in the boxes of a daemon that is root writes there too.
            subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)
        return folder

    def client_environment(self, entry: Entry) -> dict[str, str]:
        """Return the environment in which a client on this host starts."""
        term = entry.screen.term if entry.screen else "xterm-256color"
        return {**self.ground.environment, **COMMIT_DATES, "TERM": term}


def _copier(template: Path) -> Callable[[Path], None]:
    def copy(folder: Path) -> None:
        shutil.copytree(template, folder, symlinks=True, dirs_exist_ok=True)

    return copy


@contextmanager
def built_world(
    folder: Path,
    *,
    tools: Collection[str],
    daemons: Collection[str],
    daemon: Path,
    shim: Path,
    patience: float,
) -> Iterator[World]:
    """Build everything that `tools` need below `folder`, for as long as the context lasts.

    Each of `daemons` runs. `daemon` and `shim` are the executables under test.
    """
    ground = Ground.make(folder)
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        if "ssh" in tools and (reason := _serve_ssh(ground, stack)):
            missing["ssh"] = reason
        if "terraform" in tools and (reason := _prepare_terraform(ground)):
            missing["terraform"] = reason
        repositories = Repositories(ground.environment)
        for name, make in repositories.makers().items():
            (ground.templates / name).mkdir()
            make(ground.templates / name)
        for name in set(tools) - missing.keys():
            if ground.find(name) is None:
                missing[name] = f"there is no {name} on PATH"
        here = sorted(set(tools) - missing.keys())
        grants = make_grants(
            here, daemon=daemon, ssh_configuration=sshd.configuration(ground.servers)
        )
        ground.install_shim(shim, grants)
        stack.enter_context(
            running_daemons(ground, executable=daemon, grants=grants, daemons=daemons)
        )
        yield World(ground=ground, grants=grants, missing=missing, patience=patience)


def _serve_ssh(ground: Ground, stack: ExitStack) -> str | None:
    reason = sshd.why_not()
    if reason is None:
        stack.enter_context(sshd.running_sshd(ground.servers))
    return reason


def _prepare_terraform(ground: Ground) -> str | None:
    found = ground.find("terraform")
    if found is None:
        reason = install_terraform(ground.tools / "bin")
        if reason is not None:
            return reason
        found = ground.find("terraform")
        assert found is not None
    environment = {**ground.environment, "CHECKPOINT_DISABLE": "1"}
    for name, make in makers(found, environment).items():
        (ground.templates / name).mkdir()
        make(ground.templates / name)
    return None
