"""Tests of `airlock_daemon.admin.cli.docker_args`: what words for docker would give a container."""

import functools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.docker_args import refuse_doors
from airlock_daemon.boundary.identity import engine_sockets
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.bridge import BridgeVolume

VOLUME = BridgeVolume(agent="other", engine="docker", name=f"airlock-{'0' * 32}")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with an engine's socket, an ssh-agent's, and those of two agents."""
    root = Path(os.path.realpath(tmp_path))
    for name in ("sockets/my", "sockets/other", "run", "work"):
        (root / name).mkdir(parents=True)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{root}/run/engine")
    monkeypatch.setenv("SSH_AUTH_SOCK", f"{root}/agent")
    monkeypatch.chdir(root)
    # A process reads these variables once.
    patterns = functools.cache(engine_sockets._list_patterns.__wrapped__)
    monkeypatch.setattr(engine_sockets, "_list_patterns", patterns)
    with socket.socket(socket.AF_UNIX) as engine, socket.socket(socket.AF_UNIX) as agent:
        engine.bind("run/engine")
        agent.bind("agent")
        yield root


def look(host: Path, *words: str, accepts_engine: bool = False) -> list[str]:
    """What is warned of."""
    containers = {
        "tools": ["cache", f"{host}/work"],
        "other": [VOLUME.name, f"/volumes/{VOLUME.name}/_data"],
        "engine": [f"{host}/run/engine"],
    }
    return list(
        refuse_doors(
            tuple(word.replace("HOST", str(host)) for word in words),
            sockets_dir=f"{host}/sockets",
            agent="my",
            accepts_engine=accepts_engine,
            volumes=[VOLUME],
            list_mounts=containers.__getitem__,
        )
    )


ENGINE = [
    ("-v", "HOST/run/engine:/var/run/docker.sock"),
    ("-vHOST/run/engine:/x",),
    ("-itv", "HOST/run/engine:/x"),
    ("--volume=HOST/run:/r:ro",),
    ("--volume", "./run:/r"),
    ("--mount=type=bind,src=HOST/run/engine,target=/x",),
    ("--mount", 'type=bind,"source=HOST/run/engine",target=/x'),
    ("-v", "HOST/link:/x"),
    ("-v", "HOST/work/docker.sock:/x"),
    ("-v", ".hidden:/x"),
    (
        "--mount=type=volume,dst=/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=HOST/run",
    ),
    ("--mount", 'type=volume,dst=/x,volume-opt=type=overlay,"volume-opt=o=lowerdir=/a:HOST/run"'),
    ("--mount", "\ntype=bind,src=HOST/run/engine,dst=/x"),
    ("--mount", "type=bind,dst=/x,src=HOST/run/engine\r"),
    ("--mount", "type=bind,dst=/x,src=HOST/run/engine\nsrc=a"),
    # Other options take the word after them, whatever it looks like.
    ("--label", "--volume", "-vHOST/run/engine:/x"),
    ("--label", "--volume", "--mount=type=bind,src=HOST/run/engine,dst=/x"),
    ("-hdev", "-v", "HOST/run/engine:/x"),
    ("-hdev", "--volume=HOST/run/engine:/x"),
    ("-v=", "-v=HOST/run/engine:/x"),
    ("--use-api-socket",),
    ("--use-api-socket=true",),
    ("--volumes-from", "engine"),
]


@pytest.mark.parametrize("words", ENGINE)
def test_an_engines_socket_is_refused(words: tuple[str, ...], host: Path) -> None:
    """However it is written, and where the profile does not accept it."""
    for link in ("link", ".hidden"):
        (host / link).symlink_to("run")
    with pytest.raises(AirlockError, match="root on this host"):
        look(host, *words)
    assert look(host, *words, accepts_engine=True) == []


@pytest.mark.parametrize("source", ["sockets", "sockets/other", "sockets/other.sock", "."])
def test_sockets_of_other_agents_are_refused(source: str, host: Path) -> None:
    """Also where the whole directory is mounted, in which they all are."""
    with pytest.raises(AirlockError, match="sockets of other agents"):
        look(host, f"--volume=HOST/{source}:/x", accepts_engine=True)


@pytest.mark.parametrize(
    "words",
    [
        ("-v", "VOLUME:/x"),
        ("-v", "VOLUME-home:/x:ro"),
        ("--mount=type=volume,src=VOLUME,target=/x",),
        ("-v", "/volumes/VOLUME/_data:/x"),
        ("--volumes-from", "other:ro"),
        ("--volumes-from=other",),
        ("-v", "./link:/x"),
        ("-hdev", "-v", "VOLUME:/x"),
        ("--label", "--volume", "-vVOLUME:/x"),
        ("--mount", "type=volume,dst=/x,src=a\nsrc=VOLUME"),
        ("--mount=type=volume,dst=/x,volume-opt=o=bind,volume-opt=device=/volumes/VOLUME/_data",),
        # No flag that mounts, as far as is known here.
        ("--later-flag=VOLUME",),
    ],
)
def test_a_bridges_volume_is_refused(words: tuple[str, ...], host: Path) -> None:
    """Whoever mounts it is that agent; also by its directory, and from a container that has it."""
    (host / "link").symlink_to(f"/volumes/{VOLUME.name}/_data")
    with pytest.raises(AirlockError, match="volume of a bridge"):
        look(host, *(word.replace("VOLUME", VOLUME.name) for word in words), accepts_engine=True)


def test_an_ssh_agent_is_warned_of(host: Path) -> None:
    """A person may want it; what it signs no rule sees."""
    (warning,) = look(host, "-v", "HOST/agent:/agent", "-e", "SSH_AUTH_SOCK=/agent")
    assert "your ssh-agent" in warning


def test_what_opens_nothing_passes(host: Path) -> None:
    """A volume of a name, a directory, the agent's own socket, and words of other flags."""
    words = (
        "--volumes-from=tools",
        "-v",
        "cache:/c",
        "-v",
        "HOST/work:/var/run/docker.sock",
        "--init",
        "-e",
        "A=-v",
    )
    assert look(host, *words, "-v", "HOST/sockets/my:/s", "-v", "HOST/sockets/my.sock:/t") == []
