"""docker/workspace: git runs in the daemon's container, in a directory of the agent's."""

from collections.abc import Iterator

import pytest
from e2e.world.compose import Composition
from e2e.world.container import FOR_EVER, Container, started
from e2e.world.example import describe_example
from e2e.world.images import Images
from e2e.world.product import Product


@pytest.fixture(scope="module")
def example(
    product: Product, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composition]:
    """Return it, up: the agent, which has no git, has pushed its first commit."""
    folder = tmp_path_factory.mktemp("workspace")
    with describe_example(
        product=product, images=images, folder=folder, on_workspace=True
    ) as composition:
        composition.up()
        yield composition


@pytest.fixture
def agent(example: Composition) -> Container:
    """Return the agent's container."""
    return example.client("agent")


@pytest.fixture
def helper(agent: Container, images: Images) -> Iterator[Container]:
    """Return a container with what the agent's has mounted, and programs that it lacks."""
    options = (f"--volumes-from={agent.id}", "--network=none", "--user=1000")
    with started(images.debian, *options, command=FOR_EVER) as container:
        yield container


def test_commands_run_in_the_shared_directory(agent: Container) -> None:
    """What the agent makes below /workspace is there for git, at the same path."""
    agent.run("mkdir", "-p", "/workspace/deep/er").succeeded()
    shown = agent.run("git", "rev-parse", "--show-prefix", cwd="/workspace/deep/er").succeeded()
    assert shown.stdout == "deep/er/"
    absolute = agent.run("git", "-C", "/workspace/deep", "rev-parse", "--show-toplevel")
    assert absolute.succeeded().stdout == "/workspace"


@pytest.mark.parametrize(
    "directory", ["/root", "/home/airlock/.ssh", "/agents/my-agent", "/etc/airlock", "/workspaces"]
)
def test_other_directories_of_the_daemon_are_out_of_reach(
    helper: Container, directory: str
) -> None:
    """A claim to stand elsewhere is refused, though the daemon's container has such a directory."""
    error = _claim(helper, directory)
    assert error["data"]["layer"] == "workspace"
    assert error["data"]["rule"] == "unmapped"


def test_a_link_in_the_workspace_leads_nowhere_else(agent: Container, helper: Container) -> None:
    """A link to the daemon's credentials is followed to its end, and refused there."""
    agent.run("ln", "-sfn", "/home/airlock/.ssh", "/workspace/out").succeeded()
    try:
        error = _claim(helper, "/workspace/out")
        through = agent.run("git", "-C", "out", "status")
    finally:
        agent.run("rm", "/workspace/out").succeeded()
    assert (error["data"]["layer"], error["data"]["rule"]) == ("workspace", "outside")
    # It leads to nowhere in the box.
    assert through.exit_code == 128


def test_a_container_id_changes_nothing(agent: Container, helper: Container) -> None:
    """A claimed id, which the daemon cannot prove, opens no directory beyond the profile's."""
    for claimed in (helper.id, agent.id, "f" * 64):
        error = _claim(helper, "/home/airlock/.ssh", container_id=claimed)
        assert error["data"]["rule"] == "unmapped"


def test_a_client_among_the_daemons_processes_is_refused(
    example: Composition, agent: Container, images: Images
) -> None:
    """A container that shares the daemon's process ids is told not to."""
    pid = f"--pid=container:{example.client('airlock').id}"
    options = (f"--volumes-from={agent.id}", "--network=none", "--user=1000", pid)
    with started(images.debian, *options, command=FOR_EVER) as intruder:
        error = _claim(intruder, "/workspace")
    assert (error["data"]["layer"], error["data"]["rule"]) == ("workspace", "pid-namespace")


def _claim(client: Container, directory: str, **more: object) -> dict[str, dict[str, str]]:
    """Ask for `git status` with a working directory of our own invention; return the error."""
    answer = client.ask("git", "status", cwd=directory, **more)
    error: dict[str, dict[str, str]] = answer["error"]
    return error
