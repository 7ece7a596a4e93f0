"""What the policy vectors of docker call harmless, carried out in its box beside a real engine."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airlock_modules import builtin_text
from boxing import needs_bubblewrap, open_world, write_boxes
from engines import has_engine
from running import Daemon
from worlds import World

_VECTORS = Path(__file__).parents[5] / "conformance" / "vectors" / "docker.json"
SECRET = "canary-of-the-host"
# As the vectors call the container; of this process, so that nobody else takes it away.
NAME = f"airlock-vectors-{os.getpid()}"


pytestmark = [
    needs_bubblewrap,
    pytest.mark.skipif(
        not os.environ.get("REQUIRE_DOCKER") and not has_engine("buildx"),
        reason="needs an engine of docker, and buildx",
    ),
    pytest.mark.timeout(300),
]


def read_harmless() -> dict[str, list[list[str]]]:
    """The arguments of all vectors that name a canary case, by that."""
    found: dict[str, list[list[str]]] = {}
    for group in json.loads(_VECTORS.read_text(encoding="utf-8"))["groups"]:
        for test in group["tests"]:
            if "canary" in test:
                args = [each.replace("c:/", f"{NAME}:/") for each in test["args"]]
                found.setdefault(test["canary"], []).append(args)
    return found


HARMLESS = read_harmless()


@pytest.fixture(scope="module", autouse=True)
def container() -> Iterator[None]:
    """A container with a file, whose image has nothing else."""
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("x"))
        content = packed.getvalue()
    subprocess.run(("docker", "import", "-", NAME), input=content, check=True, capture_output=True)
    subprocess.run(("docker", "create", f"--name={NAME}", NAME, "x"), check=True)
    yield
    subprocess.run(("docker", "rm", NAME), check=True)
    subprocess.run(("docker", "rmi", NAME), check=True)


PLACE = "/run/credentials"
"""Below it a box has the logins."""


@contextmanager
def human_world() -> Iterator[World]:
    """A human with secrets and plugins, and a workspace whose links lead to them."""
    with open_world() as world:
        write_boxes(world)
        config = world.config / "config.toml"
        config.write_text(config.read_text().replace('"git"', '"git", "docker"'))
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        home = world.root / "home"
        for name in (".ssh/id_ed25519", ".netrc", ".docker/config.json"):
            file = home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"HttpHeaders": {"X": SECRET}}))
        (world.root / "open").mkdir()
        (world.root / "open").chmod(0o777)
        (world.workspace / "Dockerfile").write_text("FROM scratch\nCOPY file /x\n")
        (world.workspace / "file").write_text("of the workspace\n")
        (world.workspace / "link").symlink_to(home)
        yield world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """That one."""
    with human_world() as world:
        yield world


def start(world: World) -> Daemon:
    """A daemon of that human, whose engine is the one of this host."""
    home = world.root / "home"
    own = {"HOME": str(home), "DOCKER_CONFIG": "", "DOCKER_HOST": "", "DOCKER_CONTEXT": ""}
    return Daemon(world, environment={**own, "TOKEN": SECRET})


def list_outside(world: World) -> dict[str, bytes]:
    """All that the human has outside of the workspace."""
    places = (world.root / "home", world.root / "open", world.config)
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_harmless_gets_nothing_of_the_host(world: World, case: str) -> None:
    """It is allowed, prints and leaves no secret, and writes nothing but to the workspace."""
    said = ""
    with start(world) as daemon:
        before = list_outside(world)
        for args in HARMLESS[case]:
            answer = daemon.ask("docker", *args, cwd="/workspace")
            layer = answer.last.get("error", {}).get("data", {}).get("layer")
            # A path that is not the client's is said to be none in better words than docker has.
            assert layer in (None, "workspace"), args
            said += f"{answer.text()}{answer.text('stderr')}{answer.last}"
        assert list_outside(world) == before
    assert SECRET not in said
    written = [each for each in world.workspace.rglob("*") if each.is_file()]
    assert not any(SECRET.encode() in each.read_bytes() for each in written)


# It answers as a plugin does that docker asks what it is, and says how it was called.
PLUGIN = """#!/bin/sh
echo "$@" >>{ran}
echo '{{"SchemaVersion":"0.1.0","Vendor":"x","Version":"1"}}'
"""


@contextmanager
def overridden(world: World, line: str, other: str) -> Iterator[None]:
    """The agent has the built-in module with another line in place of one."""
    module = builtin_text("docker")
    assert module.count(f"\n{line}\n") == 1
    override = world.agent / "commands" / "docker.toml"
    override.parent.mkdir(exist_ok=True)
    override.write_text(module.replace(line, other))
    try:
        yield
    finally:
        override.unlink()


@pytest.fixture(scope="module")
def shell() -> Iterator[str]:
    """An image with a shell."""
    name, busybox = f"{NAME}-shell", shutil.which("busybox")
    assert busybox is not None, "there is no busybox on PATH; install Debian's busybox-static"
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(os.path.realpath(busybox), "bin/sh")
        content = packed.getvalue()
    subprocess.run(("docker", "import", "-", name), input=content, check=True, capture_output=True)
    yield name
    subprocess.run(("docker", "rmi", "--force", name), check=True)


# The build of the human that fills a cache; the one that reads what is in there; and one whose
# result depends on an argument that is no part of the key of its layer. That key has the command
# and not the cache's id, so each command has a name of this process.
FILL = f"RUN --mount=type=cache,id={NAME},target=/c echo {SECRET} of {NAME} > /c/word"
READ = f"RUN --mount=type=cache,id={NAME},target=/c read word < /c/word; echo {NAME} got $word"
PROXY = f"RUN echo {NAME} uses $http_proxy."
HUMANS = ("build", "--network=none", "--progress=plain", "--output=type=cacheonly")
PROXIED = "--build-arg=http_proxy=http://of.the.agent"
AGENTS = ("build", "--network=none", PROXIED, f"--tag={NAME}-built")


def build_both(world: World, image: str, agents: str, humans: str) -> tuple[str, str]:
    """What the agent's build says, and that of the human, who builds by BuildKit afterwards.

    The agent's profile and request ask for BuildKit too.
    """
    folder = world.workspace / "caches"
    folder.mkdir(exist_ok=True)
    variables = {"DOCKER_BUILDKIT": "1"}

    def humans_build(line: str) -> str:
        (folder / "Dockerfile").write_text(f"FROM {image}\n{line}\n")
        return subprocess.run(
            ("docker", *HUMANS, folder),
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        ).stdout

    humans_build(FILL)
    (folder / "Dockerfile").write_text(f"FROM {image}\n{agents}\n")
    mapped = f'mounts = {{ "/workspace" = "{world.workspace}" }}'
    world.write_profile(f'[workspace]\n{mapped}\n[env]\nset = {{ DOCKER_BUILDKIT = "1" }}\n')
    with start(world) as daemon:
        answer = daemon.ask("docker", *AGENTS, "caches", cwd="/workspace", env=variables)
    said = humans_build(humans)
    subprocess.run(("docker", "rmi", f"{NAME}-built"), check=False)
    return answer.text() + answer.text("stderr"), said


def test_no_build_reads_or_fills_a_cache_of_the_humans_builds(world: World, shell: str) -> None:
    """Neither one that a Dockerfile names, nor the layers."""
    read, _ = build_both(world, shell, READ, FILL)
    assert "the --mount option requires BuildKit" in read
    assert SECRET not in read
    built, said = build_both(world, shell, PROXY, PROXY)
    assert "Successfully tagged" in built
    assert f"{NAME} uses .\n" in said


def test_a_build_by_buildkit_reads_and_fills_them(world: World, shell: str) -> None:
    """So that the test above would see it; by the one line that an override changes."""
    with overridden(world, 'DOCKER_BUILDKIT = "0"', 'DOCKER_BUILDKIT = "1"'):
        read, _ = build_both(world, shell, READ, FILL)
        assert f"{NAME} got {SECRET} of {NAME}" in read
        proxy = PROXY.replace("uses", "now uses")
        _, said = build_both(world, shell, proxy, proxy)
        assert "CACHED" in said
        assert "now uses .\n" not in said


def read_named(world: World) -> str:
    """What a container has of the variables that a file of the workspace names without a value."""
    (world.workspace / "names").write_text("DOCKER_CONFIG\nHOME\n")
    name = f"{NAME}-names"
    with start(world) as daemon:
        made = ("create", f"--name={name}", "--env-file=names", NAME, "x")
        answer = daemon.ask("docker", *made, cwd="/workspace")
        assert answer.last.get("result", {}).get("exit_code") == 0, answer.last
        answer = daemon.ask("docker", "inspect", "--format={{.Config.Env}}", name, cwd="/workspace")
        daemon.ask("docker", "rm", name, cwd="/workspace")
    assert "HOME=" in answer.text()
    return answer.text()


def test_no_variable_tells_where_the_logins_are(world: World) -> None:
    """The client is told by its first argument, which nothing hands on."""
    assert PLACE not in read_named(world)


def test_a_client_that_is_told_by_a_variable_tells_where_they_are(world: World) -> None:
    """So that the test above would see it."""
    with overridden(world, 'prepend = ["--config=${DOCKER_CONFIG}"]', "prepend = []"):
        assert PLACE in read_named(world)


def test_no_plugin_of_the_human_or_a_workspace_runs(world: World) -> None:
    """Where the client looks for them first; the system's own does."""
    home = world.root / "home"
    folders = (home / ".docker" / "cli-plugins", world.workspace / "cli-plugins")
    for folder in folders:
        folder.mkdir()
        plugin = folder / "docker-buildx"
        plugin.write_text(PLUGIN.format(ran=world.root / "open" / "ran"))
        plugin.chmod(0o755)
    human = home / ".docker" / "config.json"
    human.write_text(json.dumps({"cliPluginsExtraDirs": ["/workspace/cli-plugins"]}))
    with start(world) as daemon:
        answer = daemon.ask("docker", "buildx", "version", cwd="/workspace")
        refused = daemon.ask("docker", "--config=/workspace", "buildx", "version", cwd="/workspace")
    assert "github.com/docker/buildx" in answer.text()
    assert refused.error["data"]["layer"] == "module"
    # For itself the daemon asks the human's docker about its engine, and that its plugins.
    ran = world.root / "open" / "ran"
    assert not ran.exists() or "buildx" not in ran.read_text()


def test_without_a_box_a_plugin_of_the_human_runs() -> None:
    """So that the test above would see it."""
    with human_world() as world:
        folder = world.root / "home" / ".docker" / "cli-plugins"
        folder.mkdir()
        plugin = folder / "docker-buildx"
        plugin.write_text(PLUGIN.format(ran=world.root / "open" / "ran"))
        plugin.chmod(0o755)
        world.write_module("docker", "docker", '[deny]\nargs = []\n[sandbox]\nbox = "none"\n')
        with start(world) as daemon:
            daemon.ask("docker", "buildx", "version", cwd="/workspace")
        assert "buildx version" in (world.root / "open" / "ran").read_text()
