"""docker in its box, beside a real engine: its files are the agent's, whatever it is told."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene

# The engine is root's, and so is the daemon that may speak to it.
_ONLY = "bubblewrap of root"
# Of the image, and of the container that is made of it.
_NAME = "airlock-canary"
_SCRATCH = "FROM scratch\nCOPY file /file\n"
_ALL = "FROM scratch\nCOPY . /\n"
_SHOW = (f"create --name=x-{_NAME} {_NAME}-got x", f"cp x-{_NAME}:/ -")

# By the class of the policy vectors that it shows harmless: the Dockerfile, and commands in their
# order.
_ATTACKS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "output": ((_SCRATCH, ("build --tag={c}-got --iidfile=<outside>/got .",)),),
    "copy": (
        (_SCRATCH, ("cp {c}:/file <outside>/mark",)),
        (_SCRATCH, ("cp {c}:/file link/mark",)),
        (_SCRATCH, ("cp <home>/.ssh/id_ed25519 {c}:/got", "cp {c}:/got -")),
        (_SCRATCH, ("cp -L link/.docker/config.json {c}:/got", "cp {c}:/got -")),
        (_SCRATCH, ("cp -a / {c}:/got", "cp {c}:/got -")),
    ),
    "context": (
        (_ALL, ("build --tag={c}-got --file=Dockerfile link", *_SHOW)),
        (_ALL, ("build --tag={c}-got .", *_SHOW)),
        (_SCRATCH, ("build --file=link/.ssh/config .",)),
    ),
    "variables": (
        (_SCRATCH, ("create --name=x-{c} --env-file=link/.docker/config.json {c} x",)),
        (_SCRATCH, ("create --name=x-{c} --env-file=names {c} x", "inspect x-{c}")),
        (_SCRATCH, ("--help", "context ls", "info")),
        (_SCRATCH, ("create --name=x-{c} --label-file=link/.netrc {c} x", "inspect x-{c}")),
    ),
}
_NAMES = "GITHUB_TOKEN\nAWS_SECRET_ACCESS_KEY\nSSH_AUTH_SOCK\nhttps_proxy\nGIT_SSH_COMMAND\n"


def _run(scene: BoxScene, dockerfile: str, commands: tuple[str, ...]) -> bytes:
    workspace = scene.world.workspace
    (workspace / "Dockerfile").write_text(_SCRATCH)
    (workspace / "names").write_text(_NAMES)
    (workspace / "link").symlink_to(scene.world.account.home)
    seen = [
        scene.run("docker", "build", "--quiet", f"--tag={_NAME}", "."),
        scene.run("docker", "create", f"--name={_NAME}", _NAME, "x"),
    ]
    (workspace / "Dockerfile").write_text(dockerfile)
    for command in commands:
        words = scene.fill(command.replace("{c}", _NAME)).split()
        seen.append(scene.run("docker", *words))
    for name in (_NAME, f"x-{_NAME}"):
        scene.run("docker", "rm", "--force", name)
    scene.run("docker", "rmi", "--force", _NAME, f"{_NAME}-got")
    return b"\n".join(seen)


def _attacks() -> Iterator[Attack]:
    for each, attacks in _ATTACKS.items():
        for dockerfile, commands in attacks:
            run = partial(_run, dockerfile=dockerfile, commands=commands)
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
