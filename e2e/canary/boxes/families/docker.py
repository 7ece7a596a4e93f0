"""docker in its box, beside a real engine: its files are the agent's, whatever it is told."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene

# The engine is root's, and so is the daemon that may speak to it.
_ONLY = "bubblewrap of root"
# Of the image, which the agent may use, and of the container that is made of it.
_NAME = "airlock-canary"
_BUILD = "FROM scratch\nCOPY . /\n"

# By what would be got: commands in their order.
_ATTACKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "output": (("create --cidfile=<outside>/got --name=x-{c} {c} x",),),
    "copy": (
        ("cp {c}:/file <outside>/mark",),
        ("cp {c}:/file link/mark",),
        ("cp <home>/.ssh/id_ed25519 {c}:/got", "cp {c}:/got -"),
        ("cp -L link/.docker/config.json {c}:/got", "cp {c}:/got -"),
        ("cp -a /etc {c}:/got", "cp {c}:/got -"),
    ),
    "context": (
        ("build --tag={c}-got --file=Dockerfile link",),
        ("build --tag={c}-got .",),
        ("build --file=link/.ssh/config .",),
        ("compose --file=link/.docker/config.json config",),
    ),
    "variables": (
        ("create --name=x-{c} --env-file=link/.docker/config.json {c} x", "inspect x-{c}"),
        ("create --name=x-{c} --env-file=names {c} x", "inspect x-{c}"),
        ("--help", "context ls", "info"),
        ("create --name=x-{c} --label-file=link/.netrc {c} x", "inspect x-{c}"),
    ),
    "plugin": (("--config=plugged evil",), ("--config=plugged --host=unix://link/x evil",)),
}
_NAMES = "GITHUB_TOKEN\nAWS_SECRET_ACCESS_KEY\nSSH_AUTH_SOCK\nhttps_proxy\nGIT_SSH_COMMAND\n"
_PLUGIN = """#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
  echo '{"SchemaVersion": "0.1.0", "Vendor": "x", "Version": "1"}'
  exit
fi
echo got > <outside>/mark
cat <home>/.ssh/id_ed25519 <home>/.docker/config.json link/.netrc
env
"""


def _import_image() -> None:
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("file"))
        given = packed.getvalue()
    argv = ("docker", "import", "-", _NAME)
    subprocess.run(argv, input=given, check=True, capture_output=True)


def _run(scene: BoxScene, commands: tuple[str, ...]) -> bytes:
    workspace = scene.world.workspace
    plugins = workspace / "plugged" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-evil").write_text(scene.fill(_PLUGIN))
    (plugins / "docker-evil").chmod(0o755)
    (workspace / "Dockerfile").write_text(_BUILD)
    (workspace / "names").write_text(_NAMES)
    (workspace / "link").symlink_to(scene.world.account.home)
    _import_image()
    seen = [scene.run("docker", "create", f"--name={_NAME}", _NAME, "x")]
    for command in commands:
        words = scene.fill(command.replace("{c}", _NAME)).split()
        seen.append(scene.run("docker", *words))
    for name in (_NAME, f"x-{_NAME}"):
        scene.run("docker", "rm", "--force", name)
    subprocess.run(("docker", "rmi", "--force", _NAME), check=True, capture_output=True)
    return b"\n".join(seen)


def _attacks() -> Iterator[Attack]:
    for each, attacks in _ATTACKS.items():
        for commands in attacks:
            run = partial(_run, commands=commands)
            name = f"box-docker/{each}: {'; '.join(commands)}"
            yield Attack(name, "box-files", run, works_without=False, only=_ONLY)


def _why_not() -> str | None:
    reason = why_not()
    if reason is not None:
        return reason
    if shutil.which("docker") is None:
        return "there is no docker"
    asked = subprocess.run(("docker", "info"), capture_output=True, check=False)
    return "there is no engine of docker" if asked.returncode else None


FAMILY = Family("box-docker", tuple(_attacks()), _why_not)
