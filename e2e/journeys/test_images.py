"""The images of docker/: what is in them, and that they run with as little as the docs promise."""

import io
import json
import re
import tarfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e.world.container import Container, started
from e2e.world.engine import docker, remove
from e2e.world.images import Images
from e2e.world.product import ALIVE, HARDENED, RECIPES, Product, build, write_agent

MACHINES = {"amd64": 62, "arm64": 183}
"""e_machine of an ELF file (elf.h) by the engine's name of the platform."""
TITLES = {"shim": "airlock-shim", "daemon": "airlock-daemon"}


@pytest.mark.parametrize("platform", MACHINES)
def test_the_shims_image_holds_one_static_program(product: Product, platform: str) -> None:
    """On each platform: a single executable of that machine, which asks for no interpreter."""
    options = (f"--platform=linux/{platform}",)
    image = build("Dockerfile.shim", product.context, *options, name=f"shim-{platform}")
    with _archive(image) as archive:
        # The engine itself adds what it mounts over: /etc/hosts, /dev/console and their like.
        files = [entry for entry in archive if entry.isfile() and entry.size]
        assert [entry.name for entry in files] == ["airlock-shim"]
        assert files[0].mode & 0o777 == 0o755
        program = archive.extractfile(files[0])
        assert program is not None
        content = program.read()
    assert content[:5] == b"\x7fELF\x02"
    assert int.from_bytes(content[18:20], "little") == MACHINES[platform]
    assert b"/ld-" not in content


def test_the_shims_image_runs(product: Product) -> None:
    """Called by its own name, the program in it says its version."""
    said = docker("run", "--rm", *HARDENED, product.shim, "--version").succeeded().stdout
    assert re.fullmatch(r"airlock-shim \d+\.\d+\.\d+", said)


@pytest.mark.parametrize("name", TITLES)
def test_images_say_what_they_are(product: Product, name: str) -> None:
    """Each has the labels that registries and scanners read."""
    labels = _config(getattr(product, name))["Labels"]
    assert labels["org.opencontainers.image.title"] == TITLES[name]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.description"]


def test_the_daemon_runs_as_a_user_and_owns_nothing_that_it_runs(product: Product) -> None:
    """It is not root, and cannot change its program, its configuration, or its agents."""
    assert _config(product.daemon)["User"] == "1000:1000"
    look = 'for path in "$@"; do [ ! -w "$path" ] || echo "$path"; done; id -u'
    places = ("/opt/airlock", "/opt/airlock/bin/airlock-daemon", "/etc/airlock", "/agents", "/usr")
    said = _run(product.daemon, "sh", "-c", look, "sh", *places)
    assert said == "1000"
    assert _run(product.daemon, "stat", "-c%U %a", "/run/airlock/sockets") == "airlock 755"


def test_the_daemons_configuration(product: Product) -> None:
    """It enables git and ssh, lets any user connect, logs to stderr, and names its state."""
    config = tomllib.loads(_run(product.daemon, "cat", "/etc/airlock/config.toml"))
    assert config == {
        "commands": {"enable": ["git", "ssh"]},
        "daemon": {"socket_mode": "0666", "state": "/var/lib/airlock"},
        "log": {"path": "-"},
    }
    for tool in ("git", "ssh"):
        assert _run(product.daemon, "which", tool)


def test_it_starts_as_it_is(product: Product) -> None:
    """Without a single argument or mount it serves no agent, says so, and is healthy."""
    with started(product.daemon, *HARDENED) as daemon:
        daemon.wait_for_health("healthy")
        said = docker("logs", daemon.id).succeeded().stderr
    assert "airlock: enabled commands: git, ssh" in said
    assert "airlock: no agents registered (--agents FILE)" in said


def test_it_needs_no_capability_and_no_writable_root(
    product: Product, images: Images, tmp_path: Path
) -> None:
    """With all of that taken away, an agent in another container gets its command run."""
    mounts = write_agent(tmp_path / "airlock", 'commands = ["ssh"]\n')
    with started(product.daemon, *HARDENED, *mounts) as daemon:
        daemon.wait_for_health("healthy")
        status = dict(
            line.split(":\t", 1)
            for line in daemon.run("cat", "/proc/1/status", cwd="/").succeeded().stdout.splitlines()
        )
        assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert status["NoNewPrivs"] == "1"
        assert "Read-only file system" in daemon.run("touch", "/home/airlock/x", cwd="/").stderr
        said = _ask_for_ssh(daemon, images)
    assert said.startswith("OpenSSH_")


def test_a_daemon_that_hangs_is_unhealthy_until_it_goes_on(
    product: Product, tmp_path: Path
) -> None:
    """The health check waits for an answer on each socket and not only for a connection."""
    mounts = write_agent(tmp_path / "airlock", "commands = []\n")
    assert _config(product.daemon)["Healthcheck"]["Test"] == ["CMD", *ALIVE]
    with started(product.daemon, *HARDENED, *mounts) as daemon:
        daemon.wait_for_health("healthy")
        # An engine that is busy begins no check for a minute: what it would run is run here.
        docker("kill", "--signal=STOP", daemon.id).succeeded()
        checked = daemon.run(*ALIVE, cwd="/")
        assert checked.exit_code == 1
        silence = "airlock: /run/airlock/sockets/my-agent.sock does not answer"
        assert checked.stderr.startswith(silence)
        docker("kill", "--signal=CONT", daemon.id).succeeded()
        daemon.run(*ALIVE, cwd="/").succeeded()


def test_the_health_check_leaves_no_trace_in_the_audit_log(
    product: Product, tmp_path: Path
) -> None:
    """However often it is asked, the log holds the start and the stop of the daemon alone."""
    mounts = write_agent(tmp_path / "airlock", "commands = []\n")
    with started(product.daemon, *HARDENED, *mounts) as daemon:
        daemon.wait_for_health("healthy")
        for _ in range(3):
            daemon.run(*ALIVE, cwd="/").succeeded()
        docker("stop", daemon.id).succeeded()
        lines = docker("logs", daemon.id).succeeded().stderr.splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    assert [record["event"] for record in records] == ["daemon-start", "daemon-stop"]


def test_where_no_daemon_serves_the_check_says_so(product: Product) -> None:
    """The sockets that an ended daemon left behind are not taken for one that runs."""
    leave = f"touch /run/airlock/sockets/.lock; {' '.join(ALIVE)}"
    ended = docker("run", "--rm", "--entrypoint=sh", *HARDENED, product.daemon, "-c", leave)
    assert ended.exit_code == 1
    assert ended.stderr.splitlines()[0] == "airlock: no daemon serves /run/airlock/sockets"


def test_it_stops_in_order(product: Product) -> None:
    """As the first process of its container it heeds SIGTERM, and ends well."""
    with started(product.daemon, *HARDENED) as daemon:
        daemon.wait_for_health("healthy")
        docker("stop", "--time=20", daemon.id).succeeded()
        state = docker("inspect", "--format={{.State.ExitCode}}", daemon.id).succeeded()
    assert state.stdout == "0"


@pytest.mark.nightly
def test_the_layer_with_aws(product: Product, tmp_path: Path) -> None:
    """Debian's AWS CLI is added to the daemon's image, and enabled; the user stays."""
    options = (f"--build-arg=DAEMON={product.daemon}",)
    image = build("examples/Dockerfile.aws", tmp_path, *options, network="default")
    assert _run(image, "aws", "--version").startswith("aws-cli/")
    _check_layer(image, enabled="git, ssh, aws")


def test_the_recipe_of_the_layer_with_terraform(product: Product, tmp_path: Path) -> None:
    """The recipe is sound: a program from where Terraform's image has it is enabled.

    That program only stands in for Terraform, whose image no registry gives us here.
    """
    (tmp_path / "terraform").write_text("#!/bin/sh\necho stands in for terraform\n")
    (tmp_path / "terraform").chmod(0o755)
    recipe = tmp_path / "Dockerfile"
    recipe.write_text("FROM scratch\nCOPY terraform /bin/terraform\n")
    stand_in = "airlock-e2e/terraform-stand-in"
    docker("build", "--quiet", f"--tag={stand_in}", str(tmp_path)).succeeded()
    options = (f"--build-arg=DAEMON={product.daemon}", f"--build-arg=TERRAFORM={stand_in}")
    image = build("examples/Dockerfile.terraform", tmp_path, *options)
    assert _run(image, "terraform") == "stands in for terraform"
    _check_layer(image, enabled="git, ssh, terraform")


def test_every_image_names_its_base_by_a_release(product: Product) -> None:
    """What the recipes start from without a build argument is an official image and a version."""
    for recipe in RECIPES.rglob("Dockerfile*"):
        for base in re.findall(r"^ARG (?:BASE|TERRAFORM)=(\S+)", recipe.read_text(), re.MULTILINE):
            assert re.fullmatch(r"docker\.io/(library|hashicorp)/[a-z]+:[a-z0-9.-]+", base), recipe
            assert not base.endswith(":latest")


def _check_layer(image: str, *, enabled: str) -> None:
    assert _config(image)["User"] in ("airlock", "1000:1000")
    with started(image, *HARDENED) as daemon:
        daemon.wait_for_health("healthy")
        said = docker("logs", daemon.id).succeeded().stderr
    assert f"airlock: enabled commands: {enabled}" in said


def _ask_for_ssh(daemon: Container, images: Images) -> str:
    """Return what `ssh -V` says in a container that has nothing but the daemon's volume."""
    options = ("--rm", "--user=4711", "--network=none", f"--volumes-from={daemon.id}:ro")
    ran = docker("run", *options, images.shim, "/bin/ssh", "-V").succeeded()
    return ran.stdout or ran.stderr


def _run(image: str, *argv: str) -> str:
    program, *arguments = argv
    options = ("--rm", *HARDENED, f"--entrypoint={program}")
    return docker("run", *options, image, *arguments).succeeded().stdout


def _config(image: str) -> dict[str, Any]:
    described = docker("image", "inspect", "--format={{json .Config}}", image).succeeded()
    config: dict[str, Any] = json.loads(described.stdout)
    return config


@contextmanager
def _archive(image: str, command: Sequence[str] = ("none",)) -> Iterator[tarfile.TarFile]:
    """Open the file system of a container of `image` that never runs."""
    made = docker("create", image, *command).succeeded().stdout
    try:
        with tarfile.open(fileobj=io.BytesIO(docker("export", made).succeeded().out)) as archive:
            yield archive
    finally:
        remove([made])
