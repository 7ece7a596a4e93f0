"""The hostile container to try any sandbox with: what leaks, and what does not."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world import engine
from e2e.world.command import Completed, run
from e2e.world.executables import Executables
from e2e.world.images import make_tools
from e2e.world.installation import Installation

_CHECKOUT = Path(__file__).parents[2]
_CANARY = _CHECKOUT / "docker/canary/canary.py"
_RUN = ("docker", "run", "--rm", "--network=none")

# Starts a daemon in the planted home, and then the container of its agent.
_UNDER_AIRLOCK = """\
import os, subprocess, sys
from pathlib import Path
from e2e.world.daemon import Daemon
folder, image, daemon, shim = Path(sys.argv[1]), *sys.argv[2:]
argv = [daemon, "--config", folder / "config", "--sockets", folder / "sockets"]
argv += ["--agents", folder / "agents.toml", "start"]
socket = folder / "sockets" / "my" / "airlock.sock"
with Daemon([*map(str, argv)], said=folder / "said", sockets=lambda: [socket],
            environment=dict(os.environ)):
    links = [f"--volume={shim}:/usr/local/bin/{name}:ro" for name in ("git", "ssh", "aws")]
    mounts = [f"--volume={socket.parent}:/run/airlock:ro", f"--volume={folder}/work:/workspace"]
    subprocess.run(["docker", "run", "--rm", "--network=none", "--workdir=/workspace", *links,
                    *mounts, image], check=True)
"""
_PROFILE = """\
commands = []
[workspace]
mounts = {{ "/workspace" = "{work}" }}
[git]
push = ["github.com/acme/*"]
[ssh]
hosts = ["canary"]
"""


@pytest.fixture(scope="module")
def image(alone: None) -> Iterator[str]:
    """The image, on a Debian that is made here."""
    name = f"airlock-e2e/canary-{engine.WORKER}"
    words = ("build", "--quiet", f"--tag={name}", f"--build-arg=BASE={make_tools()}")
    file = _CHECKOUT / "docker/Dockerfile.canary"
    engine.docker(*words, f"--file={file}", str(_CANARY.parent)).succeeded()
    yield name
    engine.docker("image", "rm", "--force", name)


def try_sandbox(*command: str, home: Path | None = None) -> Completed:
    where = () if home is None else (f"--home={home}",)
    argv = (sys.executable, str(_CANARY), "try", *where, "--", *command)
    return run(argv, env={**os.environ, "PYTHONPATH": str(_CHECKOUT)})


def test_mounted_credentials_come_out(image: str) -> None:
    """Files, variables and sockets that are handed over, and the host's network."""
    handed = ("--volume={home}:/root", "--env=GITHUB_TOKEN", "--network=host")
    done = try_sandbox("docker", "run", "--rm", *handed, image)
    assert done.exit_code == 1
    for each in (
        "CAME OUT: .ssh/id_ed25519, by files",
        "CAME OUT: $GITHUB_TOKEN, by variables",
        "CAME OUT: a unix socket, DOCKER_HOST, by sockets",
        "CAME OUT: a port of the host's loopback, by ports",
        "CHANGED on the host: ~/.ssh/authorized_keys",
    ):
        assert each in done.stdout


def test_a_container_with_nothing_has_nothing(image: str) -> None:
    """By the image, and by an image of one's own that gets the attack on its standard input."""
    own = ("--interactive", "--entrypoint=python3", image, "-", "attack")
    for command in ((*_RUN, image), (*_RUN, *own)):
        done = try_sandbox(*command)
        assert "canary: 22 planted, 0 came out, 0 files changed" in done.stdout
        assert done.exit_code == 0


def test_an_attack_that_did_not_run_is_no_pass(image: str) -> None:
    """Its silence says nothing."""
    done = try_sandbox(*_RUN, "--entrypoint=true", image)
    assert done.exit_code == 2


def test_nothing_comes_out_of_airlock(
    image: str, executables: Executables, ground: Path, tmp_path: Path
) -> None:
    """The daemon has the planted home and variables; the container has git, ssh and aws of it."""
    folder = ground / "canaries"
    installed = Installation(folder)
    work = folder / "work"
    run(("git", "init", "--quiet", str(work)), cwd="/").succeeded()
    installed.enable(["git", "ssh"], more='[sandbox]\nuser = "nobody"\n')
    installed.add_agent("my", profile=_PROFILE.format(work=work))
    driver = tmp_path / "driver.py"
    driver.write_text(_UNDER_AIRLOCK)
    programs = (str(executables.daemon), str(executables.shim.resolve()))
    done = try_sandbox(sys.executable, str(driver), str(folder), image, *programs)
    assert "22 planted, 0 came out, 0 files changed" in done.stdout
    assert done.exit_code == 0
    log = installed.log.read_text()
    assert '"command":"git"' in log
    assert '"outcome":"allowed"' in log
