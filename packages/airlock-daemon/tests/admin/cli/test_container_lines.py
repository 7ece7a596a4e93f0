"""Tests of `airlock_daemon.admin.cli.container_lines`: what a person copies."""

import json
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


def test_compose_gets_the_same_mounts() -> None:
    """With what it would take for a variable escaped, and no source made that is not there."""
    head, *volumes = compose(wire("/w/a $HOME"), user="1000:100").split("\n      - ")
    assert head == (
        "services:\n"
        "  agent:\n"
        "    image: IMAGE\n"
        '    user: "1000:100"\n'
        '    working_dir: "/w/a $$HOME"\n'
        '    environment: {"HOME": "/home"}\n'
        "    volumes:"
    )
    bind = {"type": "bind", "bind": {"create_host_path": False}}
    shim = bind | {"source": "/opt/airlock-shim", "read_only": True}
    assert [json.loads(volume) for volume in volumes] == [
        bind | {"source": "/w/a $$HOME", "target": "/w/a $$HOME", "read_only": False},
        bind | {"source": "/etc/airlock/sockets/my", "target": "/run/airlock", "read_only": True},
        shim | {"target": "/usr/local/bin/git"},
        shim | {"target": "/usr/local/bin/ssh"},
        shim | {"target": "/usr/bin/ssh"},
        bind | {"source": "/homes/my", "target": "/home", "read_only": False},
    ]


def test_a_devcontainer_gets_the_same_mounts() -> None:
    """Further workspaces stand before what is read-only. It runs as the caller.

    The directory that the editor obeys on the host is not the container's to change.
    """
    assert json.loads(json.dumps(devcontainer(wire("/w", "/v"), user="1003:100"))) == {
        "image": "IMAGE",
        "containerUser": "1003:100",
        "remoteUser": "1003:100",
        "updateRemoteUserUID": False,
        "workspaceMount": "type=bind,source=/w,target=/w",
        "workspaceFolder": "/w",
        "mounts": [
            "type=bind,source=/v,target=/v",
            SOCKETS,
            "type=bind,source=/opt/airlock-shim,target=/usr/local/bin/git,readonly",
            "type=bind,source=/opt/airlock-shim,target=/usr/local/bin/ssh,readonly",
            "type=bind,source=/opt/airlock-shim,target=/usr/bin/ssh,readonly",
            "type=bind,source=/homes/my,target=/home",
            "type=bind,source=/w/.devcontainer,target=/w/.devcontainer,readonly",
        ],
        "containerEnv": {"HOME": "/home"},
    }


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


def test_a_container_with_apis_begins_with_the_shim(tmp_path: Path) -> None:
    """Its entrypoint starts the command, which the lines have to say.

    An editor puts its own command there, so that a devcontainer starts the shim beside it.
    """
    wiring = msgspec.structs.replace(
        wire("/w"),
        access=Machine(
            mounts=(Mount(source="/s/ca-bundle.pem", target="/etc/ca.pem", read_only=True),),
            environment={"https_proxy": "http://127.0.0.1:13128"},
        ),
        networks=("none",),
        exec_options=(),
    )
    shim = "/usr/local/bin/airlock-shim"
    words = typed(docker_run(wiring, user="1:1"), tmp_path)
    assert words[-7:] == ["--network", "none", "--entrypoint", shim, "IMAGE", "--exec", "COMMAND"]
    assert "https_proxy=http://127.0.0.1:13128" in words
    assert "type=bind,source=/s/ca-bundle.pem,target=/etc/ca.pem,readonly" in words
    lines = compose(wiring, user="1:1").splitlines()
    assert '    network_mode: "none"' in lines
    assert f'    entrypoint: ["{shim}", "--exec"]' in lines
    made = devcontainer(wiring, user="1:1")
    begin = made["postStartCommand"]
    assert begin == f"nohup sh -c '{shim} --exec sleep infinity &' >/dev/null 2>&1"
    # The editor itself needs a network.
    assert "runArgs" not in made
