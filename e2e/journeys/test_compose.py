"""The arrangements of docker/: an agent pushes with a key that only the daemon's container has."""

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from e2e.world.command import Completed
from e2e.world.compose import Composition
from e2e.world.container import Container
from e2e.world.engine import docker
from e2e.world.example import describe_example, describe_several
from e2e.world.images import Images, temporary_image
from e2e.world.included import included
from e2e.world.keys import KeyPair, find_runs
from e2e.world.product import RECIPES, Product
from e2e.world.wheels import CHECKOUT
from tasks.blocks import list_blocks

REPOSITORY = "/srv/project.git"
BRANCH = "agent/notes"
PUSH = ("git", "push", "origin", f"HEAD:{BRANCH}")
README = (CHECKOUT / "README.md").read_text()
DENIED = "Permission denied (publickey)"
SSH = ("ssh", "-V")
GIT = ("git", "ls-remote", "ssh://git@127.0.0.1/none.git")


@pytest.fixture(scope="module")
def example(
    product: Product, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composition]:
    """Return docker/compose.yaml, up: the agent has pushed its first commit."""
    folder = tmp_path_factory.mktemp("example")
    with describe_example(product=product, images=images, folder=folder) as composition:
        composition.up()
        yield composition


@pytest.fixture
def agent(example: Composition) -> Container:
    """Return the agent's container."""
    return example.client("agent")


def test_the_commit_arrives(example: Composition, agent: Container) -> None:
    """After `docker compose up` the server has the commit that the agent says it pushed."""
    said = docker("logs", agent.id).succeeded().stdout
    (pushed,) = [line.split()[1] for line in said.splitlines() if line.startswith("pushed ")]
    assert _pushed(example) == pushed
    shown = _at_server(example, "log", "-1", "--format=%an <%ae>: %s", BRANCH).succeeded().stdout
    assert shown == "Example Agent <agent@example.org>: Note the time"


def test_up_again_changes_nothing_and_the_agent_goes_on(
    example: Composition, agent: Container
) -> None:
    """A second `docker compose up` finds everything in place; the agent's next commit arrives."""
    example.up()
    commit = _commit(agent, "after the second up")
    agent.run(*PUSH).succeeded()
    assert _pushed(example) == commit


def test_the_agent_moves_no_branch_but_its_own(example: Composition, agent: Container) -> None:
    """The default branch and tags are refused, however they are spelled."""
    before = _at_server(example, "for-each-ref").succeeded().stdout
    _commit(agent, "for a branch of others")
    for words in (("HEAD:main",), ("--force", "HEAD:main"), ("HEAD:refs/tags/agent/v1",)):
        refused = agent.run("git", "push", "origin", *words)
        assert refused.exit_code == 1
        assert "allowed: refs/heads/agent/**" in refused.stderr
    assert _at_server(example, "for-each-ref").succeeded().stdout == before


def test_it_is_reloaded_as_the_guide_says(example: Composition) -> None:
    """By the line for after an edit, as it stands there."""
    page = list_blocks("docs/start/compose.md")
    (line,) = (block.text for block in page if block.text.startswith("docker compose exec "))
    words = shlex.split(line)[3:]
    said = example.compose("exec", "--no-TTY", *words).succeeded()
    assert "reloaded" in said.stdout + said.stderr


def test_without_airlock_nobody_can_push_from_the_workspace(
    example: Composition, agent: Container, images: Images
) -> None:
    """A git and an ssh of one's own, with a network, reach the server and are refused."""
    commit, before = _commit(agent, "without Airlock"), _pushed(example)
    pushed = _push_by_own_git(example, images.debian)
    assert pushed.exit_code == 128
    assert DENIED in pushed.stderr
    assert _pushed(example) == before
    # All that it lacked is the key: with that it gets through.
    key = f"--volume={example.volume('credentials')}:/key:ro"
    _push_by_own_git(example, images.debian, key, ssh="-i /key/id_ed25519").succeeded()
    assert _pushed(example) == commit


def test_the_agents_container_holds_nothing_of_the_key(
    example: Composition, agent: Container, other_key: KeyPair
) -> None:
    """No file, no process and no setting of its container has a piece of it."""
    _commit(agent, "in search of the key")
    pushed = agent.run(*PUSH).succeeded()
    key = _key(example)
    seen = {
        "file system": agent.read_changes(),
        "workspace": agent.run("tar", "-c", "/workspace").succeeded().out,
        # A process may end meanwhile.
        "environment": agent.run("sh", "-c", "cat /proc/[0-9]*/environ").out,
        "settings": docker("inspect", agent.id).succeeded().out,
        "output": pushed.out + pushed.err,
    }
    assert b"GIT_AUTHOR_NAME=" in seen["environment"]
    for where, data in seen.items():
        assert find_runs(key, unlike=other_key, data=data) == [], where
    # The search would have found it: the daemon's side has it, in a volume.
    daemon = example.client("airlock").run("tar", "-c", "/home/airlock/.ssh", cwd="/").succeeded()
    assert find_runs(key, unlike=other_key, data=daemon.out)


def test_the_daemon_cannot_see_who_asks(example: Composition, agent: Container) -> None:
    """Its kernel calls the agent's processes 0; the record has that, the user, and the profile."""
    agent.run("git", "ls-remote", "origin").succeeded()
    said = docker("logs", example.client("airlock").id).succeeded().stderr
    records = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    last = [record for record in records if record["event"] == "exec"][-1]
    assert last["peer"] == {"pid": 0, "uid": 1000}
    assert (last["profile"], last["command"], last["container"]) == ("my-agent", "git-remote", None)


def test_the_daemon_may_be_replaced_under_a_running_agent(
    example: Composition, agent: Container
) -> None:
    """A new container of the daemon serves the agent, which was not restarted."""
    commit = _commit(agent, "while the daemon is away")
    example.compose("stop", "airlock").succeeded()
    alone = agent.run(*PUSH)
    assert alone.exit_code == 128
    assert alone.stderr.startswith("airlock: ")
    words = ("--detach", "--wait", "--no-build", "--no-deps", "--force-recreate")
    example.compose("up", *words, "airlock").succeeded()
    agent.run(*PUSH).succeeded()
    assert _pushed(example) == commit


@pytest.fixture
def copied(product: Product, images: Images) -> Iterator[str]:
    """Return an image that has the shim by the line of the README."""
    (row,) = (line for line in README.splitlines() if "`COPY --from=" in line)
    line = (
        row.partition("`")[2].partition("`")[0].replace("ghcr.io/OWNER/airlock-shim", product.shim)
    )
    install = 'RUN ["/usr/local/bin/airlock-shim", "--install-git"]\nUSER 1000\n'
    with temporary_image("copied-shim", f"FROM {images.debian}\n{line}\n{install}") as image:
        yield image


def test_a_compose_file_of_ones_own_includes_the_daemon(
    product: Product, images: Images, copied: str, tmp_path: Path
) -> None:
    """As the guide has it: the agent has no network and no key, and its push arrives."""
    recipe = RECIPES / "include"
    with included(tmp_path, recipe, images.git_server) as including:
        composition = including.start(recipe, daemon=product.daemon, agent=copied)
        repository = including.server.make_repository("included")
        agent = composition.client("agent")
        assert including.push(agent, repository, "agent/x") == repository.commit("agent/x")
        push = f"git push -q {including.url(repository)} HEAD:main"
        refused = agent.run("sh", "-c", push, cwd="/tmp/w")
        assert "allowed: refs/heads/agent/**" in refused.stderr


def test_several_agents_have_a_socket_each(
    product: Product, images: Images, tmp_path: Path
) -> None:
    """Each sees its own socket alone, and is granted what its own profile says."""
    with describe_several(product=product, images=images, folder=tmp_path) as composition:
        composition.up()
        for service, granted, other in (("first", SSH, GIT), ("second", GIT, SSH)):
            client = composition.client(service)
            sockets = client.run("find", "/run/airlock", "-type", "s", cwd="/").succeeded().stdout
            assert sockets == "/run/airlock/airlock.sock"
            assert not _is_refused_by_profile(client, granted)
            assert _is_refused_by_profile(client, other)


def _is_refused_by_profile(client: Container, words: Sequence[str]) -> bool:
    ran = client.run(*words, cwd="/")
    return ran.exit_code != 0 and "the profile" in ran.stderr


def _pushed(example: Composition) -> str:
    """Return the commit at the tip of the server's branch."""
    return _at_server(example, "rev-parse", BRANCH).succeeded().stdout


def _at_server(example: Composition, *arguments: str) -> Completed:
    server = example.client("git-server")
    return server.run("git", f"--git-dir={REPOSITORY}", *arguments, cwd="/", user="git")


def _commit(agent: Container, message: str) -> str:
    """Let the agent commit; return the commit's id."""
    agent.run("git", "commit", "--quiet", "--allow-empty", f"--message={message}").succeeded()
    return agent.run("git", "rev-parse", "HEAD").succeeded().stdout


def _push_by_own_git(example: Composition, image: str, *options: str, ssh: str = "") -> Completed:
    """Push with the programs of `image` from the agent's workspace, on the server's network."""
    insecure = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    settings = {"safe.directory": "*", "core.sshCommand": f"/usr/bin/ssh {insecure} {ssh}"}
    chosen = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    container = ("--rm", "--user=0", "--workdir=/workspace", f"--network={example.name}_default")
    workspace = f"--volume={example.volume('workspace')}:/workspace"
    push = ("/usr/bin/git", *chosen, *PUSH[1:])
    return docker("run", *container, workspace, *options, image, *push)


def _key(example: Composition) -> KeyPair:
    """Return the daemon's key, read in its container."""
    path = Path("/home/airlock/.ssh/id_ed25519")
    daemon = example.client("airlock")
    private = daemon.run("cat", str(path), cwd="/").succeeded().out
    return KeyPair(path=path, private=private, public="")
