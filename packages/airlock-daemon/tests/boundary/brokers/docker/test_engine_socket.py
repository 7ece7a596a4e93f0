import hashlib
import json
from functools import partial
from pathlib import Path

import pytest

from airlock_daemon.boundary.brokers.docker.engine_socket import find_engine
from airlock_daemon.errors import Denied
from airlock_daemon.setup.trust import leads_through


def find(home: Path, **variables: str) -> str:
    written = (str(home.parent / "workspace"),)
    return find_engine({"HOME": str(home), **variables}, partial(leads_through, written=written))


def write_context(folder: Path, host: str) -> None:
    """Write a configuration of docker whose context in use has that engine."""
    meta = folder / "contexts" / "meta" / hashlib.sha256(b"mine").hexdigest()
    meta.mkdir(parents=True)
    (folder / "config.json").write_text('{"currentContext": "mine", "auths": {}}')
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": "mine", "Endpoints": endpoints}))


def test_the_engine_is_that_of_the_variable_or_of_the_context_in_use(tmp_path: Path) -> None:
    """As docker's own client finds it; without either it is the usual one."""
    assert find(tmp_path) == "/var/run/docker.sock"
    write_context(tmp_path / ".docker", "unix:///of/context")
    assert find(tmp_path) == "/of/context"
    assert find(tmp_path, DOCKER_HOST="unix:///of/variable") == "/of/variable"
    assert find(tmp_path, DOCKER_CONTEXT="default") == "/var/run/docker.sock"
    (tmp_path / ".docker").rename(tmp_path / "elsewhere")
    assert find(tmp_path, DOCKER_CONFIG=str(tmp_path / "elsewhere")) == "/of/context"


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("ssh://me:pass@host", 'is behind "ssh"'),
        ("tcp://127.0.0.1:2375", 'is behind "tcp"'),
        ("unix://relative", 'is behind "unix"'),
        ("unix://WORKSPACE/engine", "leads through a workspace"),
    ],
)
def test_another_engine_is_refused_by_name(tmp_path: Path, host: str, problem: str) -> None:
    """With the way out, and without what a URL may have in it; the context's as the variable's."""
    home = tmp_path / "home"
    (tmp_path / "workspace").mkdir()
    host = host.replace("WORKSPACE", f"{tmp_path}/workspace")
    write_context(home / ".docker", host)
    for variables in ({"DOCKER_HOST": host}, {}):
        with pytest.raises(Denied, match=problem) as raised:
            find(home, **variables)
        assert raised.value.rule == "engine"
        assert "pass" not in raised.value.message
        assert "[docker] engine" in raised.value.hint


@pytest.mark.parametrize("name", ["config.json", "contexts"])
def test_no_agent_chooses_the_engine_by_a_link_of_the_humans(tmp_path: Path, name: str) -> None:
    """As where dotfiles are a workspace: neither the context in use, nor what it names."""
    home, workspace = tmp_path / "home", tmp_path / "workspace"
    for place in (home / ".docker", workspace):
        write_context(place, "unix:///any")
    assert find(home) == "/any"
    (home / ".docker" / name).rename(home / "before")
    (home / ".docker" / name).symlink_to(workspace / name)
    with pytest.raises(Denied, match="leads through a workspace"):
        find(home)
