"""The container's own git, whose remotes are reached through git-remote, beside plain git."""

import hashlib
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from e2e.world.container import Container, Setup, started
from e2e.world.engine import LABEL, docker
from e2e.world.executables import Executables
from e2e.world.git_server import GitServer
from e2e.world.images import Images
from e2e.world.keys import KeyPair, find_runs
from e2e.world.scene import Stage

from .remotes.case import Case, read_table
from .remotes.field import PLAIN, WAYS, Field
from .remotes.ground import ENVIRONMENT, ROOT, Result

CASES = read_table()
GRANTED = [case for case in CASES if not case.refused]
REFUSED = [case for case in CASES if case.refused]
ALIASES = """\
Host work
    HostName 127.0.0.1
    Port {port}
    User git
Host jump
    HostName 127.0.0.1
    Port {port}
    User guest
# The server's own sshd, as seen from the server.
Host far
    HostName 127.0.0.1
    HostKeyAlias [127.0.0.1]:{port}
    User git
    ProxyJump jump
"""

each_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module")
def field(
    stages: dict[str, Stage], server: GitServer, ground: Path, executables: Executables
) -> Iterator[Field]:
    """The daemons run."""
    account = stages["user"].account
    folder = ground / "remotes"
    field = Field(account=account, server=server, folder=folder, executables=executables)
    field.add_agent("descriptors", "aliased", [f"work{ROOT}/**", f"far{ROOT}/**"])
    with field.running():
        yield field


@pytest.fixture(scope="module")
def client(field: Field, images: Images) -> Iterator[Container]:
    """A Debian with git, which was told of the shim."""
    with field.mount_shim(field.setup(images.debian)).running() as client:
        client.run("airlock-shim", "--install-git", cwd="/").succeeded()
        yield client


@pytest.fixture(scope="module")
def results(field: Field, client: Container) -> dict[str, dict[str, Result]]:
    """What plain git does with the key, and what the container's git does in each way."""
    with ThreadPoolExecutor() as pool:
        sides = {way: pool.submit(field.run_in, client, way, CASES) for way in WAYS}
        sides[PLAIN] = pool.submit(field.run_plain, GRANTED)
        return {side: future.result() for side, future in sides.items()}


@pytest.mark.parametrize("case", GRANTED, ids=lambda case: case.id)
def test_plain_git_does_what_the_table_says(
    case: Case, results: dict[str, dict[str, Result]]
) -> None:
    """A case that no longer does what it is named after shows nothing."""
    result = results[PLAIN][case.id]
    assert result.status == case.status, result.err
    assert case.shows in result.out + result.err


@each_way
@pytest.mark.parametrize("case", GRANTED, ids=lambda case: case.id)
def test_a_container_does_the_same(
    case: Case, way: str, results: dict[str, dict[str, Result]]
) -> None:
    """Exit status, what is said, and the refs of both ends."""
    assert results[way][case.id] == results[PLAIN][case.id]


@each_way
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_what_is_not_granted_is_refused(
    case: Case, way: str, results: dict[str, dict[str, Result]]
) -> None:
    """git shows why, and at the server no ref has moved."""
    result = results[way][case.id]
    assert (result.status, case.refused in result.err) == (case.status, True), result.err
    assert result.remote_refs == results[PLAIN]["ls-remote"].remote_refs


def test_nothing_of_the_key_is_seen_while_git_runs(
    field: Field,
    client: Container,
    stages: dict[str, Stage],
    other_key: KeyPair,
    results: dict[str, dict[str, Result]],
) -> None:
    """Neither in what git traces, nor in the environments of the container's processes."""
    url = f"{field.url}{ROOT}/descriptors/fetch.git"
    hook = "#!/bin/sh\ncat /proc/[0-9]*/environ 2>/dev/null; true"
    work = (
        f"git clone {url} /tmp/look && cd /tmp/look && printf '{hook}' >.git/hooks/pre-push && "
        "chmod +x .git/hooks/pre-push && git push origin HEAD:refs/heads/look"
    )
    trace = {"GIT_TRACE": "1", "GIT_TRACE_PACKET": "1", "GIT_TRACE_SETUP": "1"}
    socket = {"AIRLOCK_SOCKET": "/run/descriptors/trusted/airlock.sock"}
    done = client.run("sh", "-c", work, cwd="/", env={**trace, **socket}).succeeded()
    said = done.out + done.err
    assert b"/usr/local/bin/git-ssh" in said
    assert b"packet:" in said
    assert b"AIRLOCK_SOCKET=/run" in said
    assert b"SSH_AUTH_SOCK" not in said
    assert str(field.account.home).encode() not in said
    for seen in (said, docker("inspect", client.id).succeeded().out):
        assert find_runs(stages["user"].key, unlike=other_key, data=seen) == []


def test_nothing_of_the_key_is_left_in_a_container(
    field: Field, images: Images, stages: dict[str, Stage], other_key: KeyPair
) -> None:
    """Of git and the shim alone, which has no other place to have a key, either."""
    url = f"{field.url}{ROOT}/templates/plain.git"
    setup = field.setup(images.git_alone)
    options = (*setup.words(), *_variables("descriptors"))
    with started(setup.image, *options, command=("git", "clone", url, "/copy")) as container:
        assert docker("wait", container.id).succeeded().stdout == "0"
        exported = container.export()
    assert find_runs(stages["user"].key, unlike=other_key, data=exported) == []
    with tarfile.open(fileobj=BytesIO(exported)) as files:
        names = files.getnames()
    assert {"copy/notes", "usr/bin/git-ssh", "etc/gitconfig"} <= set(names)
    assert [name for name in names if "known_hosts" in name or ".ssh" in name] == []


def test_on_a_terminal(field: Field, client: Container, results: dict[str, Result]) -> None:
    """git shows its progress, and a complaint of the server's comes to the same terminal."""
    work = (
        "export AIRLOCK_SOCKET=/run/descriptors/trusted/airlock.sock; "
        f"git clone {field.url}{ROOT}/templates/plain.git /tmp/terminal; "
        f"git -C /tmp/terminal fetch {field.url}{ROOT}/nothing.git"
    )
    with client.sit_at("sh", "-c", work, rows=24, cols=80, cwd="/") as terminal:
        terminal.wait_for("Receiving objects: 100%")
        terminal.wait_for("does not appear to be a git repository")
        assert terminal.wait() == 128


def test_the_records_say_what_was_asked_for(
    field: Field, results: dict[str, dict[str, Result]]
) -> None:
    """A push has its refs, and a refusal its rule."""
    records = field.airlocks["streamed"].audit()
    pushed = [r for r in records if "push-a-branch" in str(r) and r["event"] == "broker"]
    assert [record["detail"]["service"] for record in pushed] == ["git-receive-pack"] * 2
    assert pushed[0]["detail"]["refs"][0]["ref"] == "refs/heads/agent/x"
    refused = [r for r in records if "refused-delete" in str(r) and r["event"] == "broker"]
    assert [record["rule"] for record in refused] == ["delete"]


@pytest.mark.parametrize("host", ["work", "far"])
def test_the_persons_own_names_of_hosts_lead_there(
    field: Field, client: Container, results: dict[str, dict[str, Result]], host: str
) -> None:
    """An alias, and a host behind another one; nothing in the person's `~/.ssh` changes."""
    home = field.account.home / ".ssh"
    field.account.write(home / "config", ALIASES.format(port=field.server.port))
    before = _look_at(home)
    try:
        work = (
            f"git clone {host}:{ROOT}/plain/ls-remote.git /tmp/{host} && cd /tmp/{host} && "
            f"git push origin HEAD:refs/heads/{host}"
        )
        socket = {"AIRLOCK_SOCKET": "/run/descriptors/aliased/airlock.sock"}
        client.run("sh", "-c", work, cwd="/", env=socket).succeeded()
        assert _look_at(home) == before
    finally:
        (home / "config").unlink()


def test_the_ssh_of_a_profile(stages: dict[str, Stage], field: Field, images: Images) -> None:
    """A daemon of root reaches the server by the profile's GIT_SSH_COMMAND, and pushes."""
    stage = stages["root"]
    place = f"git@127.0.0.1:{stage.server.port}/srv/**"
    scene = stage.scene(
        profile=f'commands = ["git-remote"]\n[git]\npush = ["{place}"]\n', commands=("git-remote",)
    )
    mounts = {"/run/airlock": (scene.agent.socket_directory, "ro")}
    setup = field.mount_shim(Setup(image=images.debian, mounts=mounts))
    work = (
        "airlock-shim --install-git && git init -q /tmp/x && cd /tmp/x && "
        "git commit -q --allow-empty -m x && "
        f"git push {scene.project.repository.url} HEAD:refs/heads/of-root"
    )
    try:
        with setup.running() as client:
            client.run("sh", "-c", work, cwd="/", env=ENVIRONMENT).succeeded()
    finally:
        stage.clear()
    assert scene.project.repository.commit("of-root") is not None
    assert scene.project.repository.keys_used() == [stage.key.public]


@each_way
def test_git_without_a_shell_or_an_ssh(field: Field, images: Images, way: str) -> None:
    """An image of git and the shim alone clones and pushes."""
    setup = field.setup(images.git_alone)
    words = ("run", "--rm", f"--label={LABEL}", *setup.words(), *_variables(way), setup.image)
    folder = f"/remotes/{way}/alone"
    url = f"{field.url}{ROOT}/templates/library.git"
    docker(*words, "git", "clone", url, folder).succeeded()
    push = ("git", "-C", folder, "push", "origin", f"HEAD:refs/heads/{way}")
    docker(*words, *push).succeeded()
    listed = field.server.run("git", f"--git-dir={ROOT}/templates/library.git", "branch").stdout
    assert way in listed


def _variables(way: str) -> list[str]:
    """Options of `docker run` for a git that has no environment of its image's."""
    variables = {"AIRLOCK_SOCKET": f"/run/{way}/trusted/airlock.sock", "PATH": "/usr/bin"}
    return [f"--env={name}={value}" for name, value in (variables | ENVIRONMENT).items()]


def _look_at(folder: Path) -> dict[str, tuple[str, int, int]]:
    """What every file of a folder holds, its mode, and when it was written."""
    return {
        str(path): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mode,
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
