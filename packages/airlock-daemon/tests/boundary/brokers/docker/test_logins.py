import json
import os
from base64 import b64encode, urlsafe_b64decode
from pathlib import Path

import pytest

from airlock_daemon.boundary.brokers.docker.logins import (
    Configuration,
    Login,
    list_spellings,
)
from airlock_daemon.setup.trust import Programs


@pytest.mark.parametrize(
    ("login", "said"),
    [
        (Login(auth=b64encode(b"me:a:b").decode()), {"username": "me", "password": "a:b"}),
        (Login(identity="token"), {"identitytoken": "token"}),
        (Login(registry="token"), {"registrytoken": "token"}),
    ],
)
def test_a_login_is_written_for_the_engine(login: Login, said: dict[str, str]) -> None:
    """Name and password are apart, as the engine reads them; a token is one."""
    header = login.write_header()
    assert header is not None
    assert json.loads(urlsafe_b64decode(header)) == said


@pytest.mark.parametrize("login", [Login(), Login(auth="?"), Login(auth=b64encode(b"me").decode())])
def test_what_is_no_login_is_none(login: Login) -> None:
    """An empty or broken entry is as none."""
    assert login.write_header() is None


def test_dockers_own_registry_has_its_old_name() -> None:
    """docker writes the login of Docker Hub under the address of its first version."""
    assert list_spellings("docker.io")[0] == "https://index.docker.io/v1/"
    assert list_spellings("ghcr.io")[0] == "ghcr.io"


class Helpers:
    """The helpers of a configuration, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        for name in ("one", "store"):
            path = folder / f"docker-credential-{name}"
            path.write_text("#!/bin/sh\n")
            path.chmod(0o755)
        self.programs = Programs(str(folder))
        self.asked: list[tuple[str, str, str]] = []

    async def ask(self, program: str, argv: tuple[str, ...], said: bytes) -> tuple[int, bytes]:
        """Answer as docker's own helpers do."""
        registry = said.decode()
        self.asked.append((os.path.basename(program), argv[1], registry))
        if registry == "none.example":
            return 1, b"credentials not found in native keychain"
        user = "<token>" if registry == "token.example" else "me"
        return 0, json.dumps({"ServerURL": "x", "Username": user, "Secret": "mine"}).encode()

    async def find(self, configuration: object, registry: str) -> Login | None:
        """The login at a registry of that configuration."""
        found = Configuration.read(json.dumps(configuration).encode())
        assert found is not None
        return await found.find_login(registry, self.programs, self.ask)


async def test_a_helper_is_asked_for_the_registry_of_the_call_alone(tmp_path: Path) -> None:
    """By `get`; a token of identity is one. What stands in the file needs no helper."""
    helpers = Helpers(tmp_path)
    configuration = {
        "auths": {"stored.example": {}, "token.example": {}, "file.example": {"auth": "bWU6eA=="}},
        "credsStore": "store",
        "credHelpers": {"helped.example": "one", "none.example": "one", "bad.example": "../x"},
    }
    mine = Login(auth=b64encode(b"me:mine").decode())
    assert await helpers.find(configuration, "helped.example") == mine
    assert await helpers.find(configuration, "stored.example") == mine
    assert await helpers.find(configuration, "token.example") == Login(identity="mine")
    assert await helpers.find(configuration, "file.example") == Login(auth="bWU6eA==")
    assert await helpers.find(configuration, "bad.example") is None
    assert await helpers.find(configuration, "other.example") is None
    assert helpers.asked == [
        ("docker-credential-one", "get", "helped.example"),
        ("docker-credential-store", "get", "stored.example"),
        ("docker-credential-store", "get", "token.example"),
    ]


async def test_the_daemon_says_which_login_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the registry's name, and without what a helper has said."""
    helpers = Helpers(tmp_path)
    named = {"credHelpers": {"none.example": "one", "gone.example": "gone"}}
    assert await helpers.find(named, "none.example") is None
    assert await helpers.find(named, "gone.example") is None
    assert '"none.example"' in caplog.text
    assert "docker-credential-gone is not an executable" in caplog.text
    assert "native keychain" not in caplog.text
