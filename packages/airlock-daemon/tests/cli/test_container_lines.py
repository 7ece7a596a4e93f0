"""Tests of `airlock_daemon.cli.container_lines`: what a person copies."""

import json
import os
import subprocess
from pathlib import Path

from airlock_daemon.cli.container_lines import Wiring, compose, devcontainer, docker_run

ECHO = '#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n'


def wire(*workspaces: str, shim: str | None = "/opt/airlock-shim") -> Wiring:
    return Wiring(
        sockets="/etc/airlock/sockets/my",
        shim=shim,
        commands=("git", "ssh"),
        workspaces=workspaces,
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
    assert typed(docker_run(wire("/w/it's $HOME", "/v")), tmp_path) == [
        "run", "-it", "--rm", "-u", f"{os.getuid()}:{os.getgid()}",
        "-v", "/w/it's $HOME:/w/it's $HOME", "-v", "/v:/v", "-w", "/w/it's $HOME",
        "-v", "/etc/airlock/sockets/my:/run/airlock:ro",
        "-v", "/opt/airlock-shim:/usr/local/bin/git:ro",
        "-v", "/opt/airlock-shim:/usr/local/bin/ssh:ro",
        "IMAGE",
    ]  # fmt: skip


def test_without_a_workspace_it_is_where_the_line_is_typed(tmp_path: Path) -> None:
    """Compose and devcontainers have variables of their own for that."""
    words = typed(docker_run(wire()), tmp_path)
    assert words[words.index("-v") + 1] == f"{tmp_path}:{tmp_path}"
    assert words[words.index("-w") + 1] == str(tmp_path)
    assert '"${PWD}:${PWD}"' in compose(wire(), user="1:1")
    folder = "${localWorkspaceFolder}"
    made = devcontainer(wire())
    assert made["workspaceFolder"] == folder
    assert made["workspaceMount"] == f"source={folder},target={folder},type=bind"


def test_compose_gets_the_same_mounts() -> None:
    """With what it would take for a variable escaped."""
    assert compose(wire("/w/a $HOME", "/v"), user="1000:100") == (
        "services:\n"
        "  agent:\n"
        "    image: IMAGE\n"
        '    user: "1000:100"\n'
        '    working_dir: "/w/a $$HOME"\n'
        "    volumes:\n"
        '      - "/w/a $$HOME:/w/a $$HOME"\n'
        '      - "/v:/v"\n'
        '      - "/etc/airlock/sockets/my:/run/airlock:ro"\n'
        '      - "/opt/airlock-shim:/usr/local/bin/git:ro"\n'
        '      - "/opt/airlock-shim:/usr/local/bin/ssh:ro"'
    )


def test_a_devcontainer_gets_the_same_mounts() -> None:
    """Further workspaces stand before what is read-only."""
    assert json.loads(json.dumps(devcontainer(wire("/w", "/v")))) == {
        "image": "IMAGE",
        "workspaceMount": "source=/w,target=/w,type=bind",
        "workspaceFolder": "/w",
        "mounts": [
            "source=/v,target=/v,type=bind",
            "source=/etc/airlock/sockets/my,target=/run/airlock,type=bind,readonly",
            "source=/opt/airlock-shim,target=/usr/local/bin/git,type=bind,readonly",
            "source=/opt/airlock-shim,target=/usr/local/bin/ssh,type=bind,readonly",
        ],
    }


def test_a_shim_that_is_not_installed_is_a_path_to_fill_in() -> None:
    """In every form."""
    missing = wire("/w", shim=None)
    for text in (docker_run(missing), compose(missing, user="1:1"), str(devcontainer(missing))):
        assert "/PATH/TO/airlock-shim" in text
