"""Tests of `airlock_daemon.admin.cli.container_lines`: what a person copies."""

import os
import subprocess
from pathlib import Path

import msgspec

from airlock_daemon.admin.cli.container_lines import compose, devcontainer, docker_run
from airlock_daemon.admin.cli.wiring import Machine, Mount, Wiring

ECHO = '#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n'
SOCKETS = "type=bind,source=/etc/airlock/sockets/my,target=/run/airlock,readonly"


def wire(*workspaces: str, shim: str | None = "/opt/airlock-shim") -> Wiring:
    return Wiring(
        sockets="/etc/airlock/sockets/my",
        shim=shim,
        commands=("git", "ssh"),
        workspaces=tuple(Mount(source=path, target=path) for path in workspaces),
        machine=Machine(
            mounts=(Mount(source="/homes/my", target="/home"),), environment={"HOME": "/home"}
        ),
    )


def typed(line: str, directory: Path) -> list[str]:
    """The arguments that docker gets when a person types the line in the directory."""
    docker = directory / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(ECHO)
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{docker.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_shell_reads_the_docker_line_as_it_is_meant(tmp_path: Path) -> None:
    """Whatever the names of the workspaces are; the first one is where it begins."""
    line = docker_run(wire("/w/it's $PWD", "/v"), user="1000:100")
    assert typed(line, tmp_path) == [
        "run", "-it", "--rm", "--user", "1000:100",
        "--mount", "type=bind,source=/w/it's $PWD,target=/w/it's $PWD",
        "--mount", "type=bind,source=/v,target=/v",
        "--workdir", "/w/it's $PWD",
        "--mount", SOCKETS,
        "--mount", "type=bind,source=/opt/airlock-shim,target=/usr/local/bin/git,readonly",
        "--mount", "type=bind,source=/opt/airlock-shim,target=/usr/local/bin/ssh,readonly",
        "--mount", "type=bind,source=/opt/airlock-shim,target=/usr/bin/ssh,readonly",
        "--mount", "type=bind,source=/homes/my,target=/home",
        "--env", "HOME=/home",
        "IMAGE",
    ]  # fmt: skip


def test_without_a_workspace_it_is_where_the_line_is_typed(tmp_path: Path) -> None:
    """Compose and devcontainers have variables of their own for that."""
    words = typed(docker_run(wire(), user="1:1"), tmp_path)
    assert words[words.index("--mount") + 1] == f"type=bind,source={tmp_path},target={tmp_path}"
    assert words[words.index("--workdir") + 1] == str(tmp_path)
    lines = compose(wire(), user="1:1")
    assert '"source": "${PWD}", "target": "${PWD}"' in lines
    assert 'working_dir: "${PWD}"' in lines
    folder = "${localWorkspaceFolder}"
    made = devcontainer(wire(), user="1:1")
    assert made["workspaceFolder"] == folder
    assert made["workspaceMount"] == f"type=bind,source={folder},target={folder}"


def test_a_shim_that_is_not_installed_is_a_path_to_fill_in() -> None:
    """In every form."""
    missing = wire("/w", shim=None)
    texts = (
        docker_run(missing, user="1:1"),
        compose(missing, user="1:1"),
        str(devcontainer(missing, user="1:1")),
    )
    for text in texts:
        assert "/PATH/TO/airlock-shim" in text


def test_compose_takes_the_volume_of_a_bridge_as_it_is() -> None:
    """The daemon makes it, and has the sockets and the shim in it."""
    wiring = msgspec.structs.replace(wire("/w"), volume="airlock-1")
    text = compose(wiring, user="1:2")
    assert text.endswith("\nvolumes:\n  airlock-1: {external: true}")
    assert '"source": "airlock-1", "target": "/run/airlock", "read_only": true' in text
    assert '"volume": {"nocopy": true, "subpath": "airlock-shim"}' in text
