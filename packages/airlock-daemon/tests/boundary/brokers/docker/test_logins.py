import json
from base64 import b64encode, urlsafe_b64decode

import pytest

from airlock_daemon.boundary.brokers.docker.logins import Login, list_spellings, write_header


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
    header = write_header(login)
    assert header is not None
    assert json.loads(urlsafe_b64decode(header)) == said


@pytest.mark.parametrize("login", [Login(), Login(auth="?"), Login(auth=b64encode(b"me").decode())])
def test_what_is_no_login_is_none(login: Login) -> None:
    """An empty or broken entry is as none."""
    assert write_header(login) is None


def test_dockers_own_registry_has_its_old_name() -> None:
    """docker writes the login of Docker Hub under the address of its first version."""
    assert list_spellings("docker.io")[0] == "https://index.docker.io/v1/"
    assert list_spellings("ghcr.io")[0] == "ghcr.io"
