"""The logins of a docker configuration that a box holds: those, and nothing else of it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from boxing import PYTHON, mapped_world, needs_bubblewrap
from running import Daemon
from worlds import World

pytestmark = needs_bubblewrap

SECRET = "s3cr3t-value"
DOCKER = '[deny]\nargs = []\n[sandbox]\nbox = "closed"\nbrokers = ["docker"]\n'
SHOW = "import os; print(open(os.environ['DOCKER_CONFIG'] + '/config.json').read())"

# It answers as the program of docker's own for a keyring does, and says so to a file.
HELPER = """#!/bin/sh
read -r registry
echo "$0 $1 $registry" >> "$HOME/asked"
case "$registry" in
  token.example) printf '{"ServerURL":"x","Username":"<token>","Secret":"identity"}' ;;
  none.example) echo 'credentials not found in native keychain'; exit 1 ;;
  *) printf '{"ServerURL":"x","Username":"me","Secret":"mine"}' ;;
esac
"""


@pytest.fixture
def world() -> Iterator[World]:
    """A daemon whose `git` is python in such a box; a helper stands on its PATH."""
    with mapped_world() as world:
        world.write_module("git", PYTHON, DOCKER)
        for folder in ("home/.docker", "bin"):
            (world.root / folder).mkdir(parents=True)
        for name in ("one", "store"):
            helper = world.root / "bin" / f"docker-credential-{name}"
            helper.write_text(HELPER)
            helper.chmod(0o755)
        yield world


def read_in_box(world: World, configuration: Any, **environment: str) -> Any:
    """What the box has, where the human has that."""
    text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    (world.root / "home" / ".docker" / "config.json").write_text(text)
    with serve(world, **environment) as daemon:
        answer = daemon.ask("git", "-c", SHOW, cwd="/workspace")
    assert "result" in answer.last, answer.last
    return json.loads(answer.text())


def serve(world: World, **environment: str) -> Daemon:
    """A daemon of that human."""
    path = f"{world.root}/bin:{os.environ['PATH']}"
    own = {
        "HOME": str(world.root / "home"),
        "PATH": path,
        "DOCKER_CONFIG": "",
        "DOCKER_HOST": "unix:///nowhere",
    }
    return Daemon(world, environment={**own, **environment})


def test_logins_are_there_and_nothing_else(world: World) -> None:
    """No helper, plugin, proxy, header or context, and no more of an entry than its login."""
    login = {"auth": "bWU6bWluZQ==", "email": SECRET, "username": SECRET}
    everything = {
        "auths": {"a.example": login, "empty.example": {}},
        "HttpHeaders": {"X": SECRET},
        "proxies": {"default": {"httpsProxy": f"http://me:{SECRET}@proxy"}},
        "cliPluginsExtraDirs": ["/workspace"],
        "plugins": {"x": {"hooks": "ps"}},
        "aliases": {"builder": "x"},
        "currentContext": "x",
        "detachKeys": "ctrl-x",
        "psFormat": SECRET,
    }
    assert read_in_box(world, everything) == {"auths": {"a.example": {"auth": "bWU6bWluZQ=="}}}


def test_helpers_are_asked_outside_for_the_registries_that_are_named(world: World) -> None:
    """By `get`; a token of identity is one, and what a helper does not have is not there."""
    configuration = {
        "auths": {"kept.example": {}, "none.example": {}, "token.example": {}},
        "credsStore": "store",
        "credHelpers": {"own.example": "one", "lost.example": "nowhere", "bad.example": "../one"},
    }
    assert read_in_box(world, configuration) == {
        "auths": {
            "kept.example": {"auth": "bWU6bWluZQ=="},
            "own.example": {"auth": "bWU6bWluZQ=="},
            "token.example": {"identitytoken": "identity"},
        }
    }
    asked = (world.root / "home" / "asked").read_text().splitlines()
    assert sorted(each.split("docker-credential-")[1] for each in asked) == [
        "one get own.example",
        "store get kept.example",
        "store get none.example",
        "store get token.example",
    ]


def test_a_command_without_a_registry_has_no_helper_asked(world: World) -> None:
    """Its box has a configuration without logins. A word that is not known as such is given all."""
    show = '[args]\nprepend = ["${DOCKER_CONFIG}/config.json"]\n'
    world.write_module("git", "/bin/cat", DOCKER + show)
    configuration = {"auths": {"a.example": {"auth": "bWU="}}, "credHelpers": {"b.example": "one"}}
    (world.root / "home" / ".docker" / "config.json").write_text(json.dumps(configuration))
    with serve(world) as daemon:
        asked = (("ps",), ("pull",), ("-u", "ps"), ())
        told = [daemon.ask("git", *words, cwd="/workspace").text() for words in asked]
    held = [list(json.loads(each)["auths"]) for each in told]
    assert held == [[], *[["a.example", "b.example"]] * 3]
    assert len((world.root / "home" / "asked").read_text().splitlines()) == 3


def test_the_daemon_says_which_login_is_missing(world: World) -> None:
    """By the registry's name, and without what a helper has said."""
    configuration = {"auths": {"none.example": {}}, "credsStore": "store"}
    (world.root / "home" / ".docker" / "config.json").write_text(json.dumps(configuration))
    with serve(world) as daemon:
        daemon.ask("git", "-c", SHOW, cwd="/workspace")
        said = daemon.messages()
    assert 'docker-credential-store has no login for "none.example" (status 1)' in said
    assert "native keychain" not in said


@pytest.mark.parametrize("configuration", ["", "{}", '{"auths": null, "credsStore": ""}'])
def test_without_logins_there_is_an_empty_configuration(world: World, configuration: str) -> None:
    """So that the tool looks nowhere else."""
    assert read_in_box(world, configuration) == {"auths": {}}


def test_the_file_is_where_the_daemons_variable_says(world: World) -> None:
    """A directory, in which it has its usual name."""
    elsewhere = world.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config.json").write_text('{"auths": {"b.example": {"auth": "eDp5"}}}')
    held = read_in_box(world, {}, DOCKER_CONFIG=str(elsewhere))
    assert held == {"auths": {"b.example": {"auth": "eDp5"}}}


def test_what_docker_could_not_read_is_refused(world: World) -> None:
    """Without a word of what stands there."""
    (world.root / "home" / ".docker" / "config.json").write_text(f'{{"auths": "{SECRET}"}}')
    with serve(world) as daemon:
        error = daemon.ask("git", "-c", SHOW, cwd="/workspace").error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "logins")
    assert "is no configuration of docker" in error["message"]
    assert SECRET not in str(error)


def test_a_configuration_in_a_workspace_is_not_read(world: World) -> None:
    """It would be the agent that chooses."""
    link = world.root / "home" / ".docker" / "config.json"
    (world.workspace / "config.json").write_text('{"auths": {}}')
    Path(link).symlink_to(world.workspace / "config.json")
    with serve(world) as daemon:
        error = daemon.ask("git", "-c", SHOW, cwd="/workspace").error
    assert "leads through a workspace" in error["message"]
