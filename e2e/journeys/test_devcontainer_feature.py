"""The feature of Development Containers: published, named in one line, and a push comes out."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.container import Container
from e2e.world.devcontainers import IMAGE, PAGE, Place, placed
from e2e.world.executables import Executables
from e2e.world.images import Images, temporary_image
from e2e.world.registry import running_registry
from e2e.world.scene import Stage
from e2e.world.wheels import CHECKOUT
from tasks.release.channels import write_feature

AGENT = "featured"
"""The agent, which has the name of the project's folder: the feature mounts its sockets."""
BINARIES = sorted((CHECKOUT / "packages/airlock-shim/src/airlock_shim/_bin").iterdir())
SECRETS = ("user", "password-of-the-registry")


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage], executables: Executables, ground: Path, devcontainer: str
) -> Iterator[Place]:
    """Return a person whose daemon serves the agent, who has git-remote and an API."""
    commands = "--command git-remote --command anthropic"
    with placed(AGENT, commands, stages["user"], executables, ground, devcontainer) as place:
        yield place


@pytest.fixture(scope="module")
def feature(place: Place, images: Images, ground: Path) -> Iterator[str]:
    """Publish the feature at a registry; return its name there."""
    user, password = SECRETS
    with running_registry(images.registry, user=user, password=password) as registry:
        write_feature(ground / "feature/airlock", BINARIES)
        yield place.publish(ground / "feature", registry)


@pytest.fixture(scope="module")
def container(place: Place, feature: str, images: Images) -> Iterator[Container]:
    """Start the container by a configuration beside the team's own, which stays as it is."""
    with temporary_image("feature-base", IMAGE.format(images.debian)) as image:
        place.configure(image, feature)
        container = place.start()
        yield container
        place.remove(container)


def test_the_images_own_git_pushes(place: Place, container: Container) -> None:
    """As the image's user, who got the person's uid, and without a key."""
    place.push(container, "agent/feature")
    assert place.project.repository.commit("agent/feature") == place.project.head()
    ls = "ls ~/.ssh 2>/dev/null || command -v ssh"
    assert place.execute(container, ls) == "/usr/local/bin/ssh"


def test_tools_find_the_proxy_to_the_granted_apis(place: Place, container: Container) -> None:
    """By variables of the login shell, which the editor's own processes get too."""
    assert place.execute(container, "echo $https_proxy") == "http://127.0.0.1:13128"
    assert place.execute(container, "echo $ANTHROPIC_API_KEY")
    ask = r"printf 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n'"
    said = place.execute(container, f"{ask} | socat -t5 - TCP:127.0.0.1:13128")
    assert said.startswith("HTTP/1.1 403 airlock: ")


def test_an_agent_with_another_name_is_mounted_by_a_line_of_its_own(
    place: Place, container: Container
) -> None:
    """It takes the place of the feature's own mount."""
    path = place.file
    other = path.with_name("other.json")
    (mounts,) = (text for text in PAGE if text.startswith('"mounts"'))
    text = f"{path.read_text().strip().removesuffix('}')},{mounts.replace('NAME', 'other')}}}"
    place.person.account.write(other, text)
    words = "read-configuration --include-merged-configuration --workspace-folder ."
    merged = json.loads(place.run(f"{words} --config {other}"))["mergedConfiguration"]
    (mount,) = merged["mounts"]
    assert "/sockets/other,target=/run/airlock,readonly" in str(mount)


def test_the_container_cannot_replace_its_socket(place: Place, container: Container) -> None:
    """The feature mounts the agent's directory read-only, and no other agent's."""
    assert "Read-only" in place.execute(container, "touch /run/airlock/x 2>&1 || :")
    assert "airlock.sock" in place.execute(container, "ls /run/airlock").split()
