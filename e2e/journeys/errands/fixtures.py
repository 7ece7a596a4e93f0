"""The servers that errands lead to, started when the first test needs them, and the errands."""

import secrets
from collections.abc import Iterator

import pytest
from e2e.world.git_server import GitServer
from e2e.world.images import Images
from e2e.world.keys import KeyPair
from e2e.world.registry import running_registry
from e2e.world.scene import Stage

from .docker import Docker
from .errand import Errand
from .git import USER, GitOverHttps, GitOverSsh
from .ssh import Ssh

_DOCKER = pytest.param("docker", marks=pytest.mark.linux_only("boxes"))


@pytest.fixture(params=["git-ssh", "git-https", "ssh", _DOCKER])
def errand(request: pytest.FixtureRequest) -> Errand:
    """Return each errand in turn."""
    found: Errand = request.getfixturevalue(f"{request.param.replace('-', '_')}_errand")
    return found


@pytest.fixture(scope="session")
def git_ssh_errand(stages: dict[str, Stage], other_key: KeyPair) -> GitOverSsh:
    """Return git over ssh, with the keys that the stages have."""
    return GitOverSsh(_keys(stages), unlike=other_key)


@pytest.fixture(scope="session")
def git_https_errand(stages: dict[str, Stage], server: GitServer) -> GitOverHttps:
    """Return git over https, with a password in each account's home."""
    errand = GitOverHttps(server, secrets.token_urlsafe(30))
    for stage in stages.values():
        errand.furnish(stage.account)
    return errand


@pytest.fixture(scope="session")
def ssh_errand(stages: dict[str, Stage], server: GitServer, other_key: KeyPair) -> Ssh:
    """Return ssh, with the keys that the stages have."""
    return Ssh(server, _keys(stages), unlike=other_key)


@pytest.fixture(scope="session")
def docker_errand(stages: dict[str, Stage], images: Images) -> Iterator[Docker]:
    """Return docker, with a registry and a login in each account's home."""
    password = secrets.token_urlsafe(30)
    with running_registry(images.registry, user=USER, password=password) as registry:
        errand = Docker(registry)
        for stage in stages.values():
            errand.furnish(stage.account)
        yield errand


def _keys(stages: dict[str, Stage]) -> list[KeyPair]:
    return [stage.key for stage in stages.values()]
