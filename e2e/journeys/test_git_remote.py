"""The container's own git, whose remotes are reached through git-remote, beside plain git."""

import shutil
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from e2e.world.container import Container, started
from e2e.world.engine import docker
from e2e.world.executables import Executables
from e2e.world.git_server import GitServer
from e2e.world.images import Images
from e2e.world.need import need
from e2e.world.scene import Stage
from e2e.world.secrets import Secret

from .errands.errand import Errand
from .remotes.case import Case, Transport, read_table
from .remotes.field import BOX, PLAIN, WAYS, Field
from .remotes.ground import ENVIRONMENT, ROOT, Result, seed
from .remotes.looking import look_at
from .remotes.other_images import PATH, SHELL, in_busybox, in_git_alone

CASES = read_table()
GRANTED = [case for case in CASES if not case.refused]
REFUSED = [case for case in CASES if case.refused]
TRANSPORTS: tuple[Transport, ...] = ("ssh", "https")
ABSENT = {"ssh": "does not appear to be a git repository", "https": "not found"}
"""What it says of a repository that is not there."""
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

BUSYBOX, ALONE = "busybox", "git-alone"
"""Other images with a git of their own: one in the layout of Alpine, and one without a shell."""
WHOLE, SHARING = ("descriptors",), ("streamed", BUSYBOX, ALONE, BOX)
"""Sides that carry out every case, and those of which one does; a box refuses every one."""


def choose_cases(side: str, cases: Sequence[Case]) -> list[Case]:
    """Return those of the cases that a side carries out."""
    if side in WHOLE or (side == BOX and all(case.refused for case in cases)):
        return [*cases]
    turns = {case.id: SHARING[at % len(SHARING)] for at, case in enumerate(CASES)}
    # What needs a shell is for an image that has one.
    shells = {case.id: BUSYBOX for case in CASES if case.needs_shell and turns[case.id] == ALONE}
    return [case for case in cases if (turns | shells)[case.id] == side]


def on_each_side(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Have each of the cases on each side that carries it out."""
    marks = {BOX: pytest.mark.linux_only("boxes")}
    pairs = [
        pytest.param(side, case, id=f"{side}-{case.id}", marks=marks.get(side, ()))
        for side in (*WHOLE, *SHARING)
        for case in choose_cases(side, cases)
    ]
    return pytest.mark.parametrize(("side", "case"), pairs)


over_ssh = pytest.mark.parametrize("transport", ["ssh"], indirect=True)


@pytest.fixture(scope="module", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Transport:
    """Return what the remotes are reached over."""
    found: Transport = request.param
    return found


@pytest.fixture(scope="module")
def errand(request: pytest.FixtureRequest, transport: Transport) -> Errand:
    """Return the errand that has put the credential into the accounts' homes."""
    found: Errand = request.getfixturevalue(f"git_{transport}_errand")
    return found


@pytest.fixture(scope="module")
def secrets(errand: Errand) -> list[Secret]:
    """Return what no container may have."""
    return errand.secrets()


@pytest.fixture(scope="module")
def seeded(server: GitServer) -> GitServer:
    """Return the server, with the repositories of which each case gets a copy."""
    seed(server)
    return server


@pytest.fixture(scope="module")
def field(
    transport: Transport,
    errand: Errand,
    stages: dict[str, Stage],
    seeded: GitServer,
    ground: Path,
    executables: Executables,
) -> Iterator[Field]:
    """The daemons run."""
    account = stages["user"].account
    folder = ground / f"remotes-{transport}"
    field = Field(transport, account=account, server=seeded, folder=folder, executables=executables)
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
def boxes(field: Field, images: Images) -> Iterator[Container]:
    """A container whose git is the host's, in a box."""
    need(None if shutil.which("bwrap") else "there is no bubblewrap")
    with field.mount_shim(field.setup_boxes(images.busybox)).running() as boxes:
        yield boxes


@pytest.fixture(scope="module")
def others(field: Field, images: Images) -> Iterator[dict[str, Container]]:
    """The other images."""
    with in_busybox(field, images) as busybox, in_git_alone(field, images) as git_alone:
        yield {BUSYBOX: busybox, ALONE: git_alone}


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, field: Field, client: Container
) -> dict[str, dict[str, Result]]:
    """What plain git does with the credential; what a container's does in each way, and a box's.

    Of the cases that a run has tests of, and those whose results other tests look at.
    """
    wanted = {
        (PLAIN, "ls-remote"),
        ("descriptors", "push-a-branch"),
        ("descriptors", "refused-delete"),
    }
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.path == request.path:
            found: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
            if "case" in found:
                wanted |= {(found.get("side", PLAIN), found["case"].id), (PLAIN, found["case"].id)}

    def find(side: str, cases: Sequence[Case] = CASES) -> list[Case]:
        return [case.over(field.transport) for case in cases if (side, case.id) in wanted]

    with ThreadPoolExecutor() as pool:
        sides = {way: pool.submit(field.run_in, client, way, find(way), way=way) for way in WAYS}
        if find(BOX):
            boxes = request.getfixturevalue("boxes")
            sides[BOX] = pool.submit(field.run_in_boxes, boxes, find(BOX))
        if find(BUSYBOX) or find(ALONE):
            others = request.getfixturevalue("others")
            sides[BUSYBOX] = pool.submit(field.run_in, others[BUSYBOX], BUSYBOX, find(BUSYBOX))
            sides[ALONE] = pool.submit(
                field.run_in, others[ALONE], ALONE, find(ALONE), program=SHELL, path=PATH
            )
        sides[PLAIN] = pool.submit(field.run_plain, find(PLAIN, GRANTED))
        return {side: future.result() for side, future in sides.items()}


@pytest.mark.parametrize("case", GRANTED, ids=lambda case: case.id)
def test_plain_git_does_what_the_table_says(
    case: Case, transport: Transport, results: dict[str, dict[str, Result]]
) -> None:
    """A case that no longer does what it is named after shows nothing."""
    result, case = results[PLAIN][case.id], case.over(transport)
    assert result.status == case.status, result.err
    assert case.shows in result.out + result.err


@on_each_side(GRANTED)
def test_a_container_does_the_same(
    case: Case, side: str, results: dict[str, dict[str, Result]]
) -> None:
    """Exit status, what is said, and the refs of both ends; so does the host's git in a box."""
    assert results[side][case.id] == results[PLAIN][case.id]


@on_each_side(REFUSED)
def test_what_is_not_granted_is_refused(
    case: Case, side: str, transport: Transport, results: dict[str, dict[str, Result]]
) -> None:
    """git shows why, and at the server no ref has moved."""
    result, case = results[side][case.id], case.over(transport)
    assert (result.status, case.refused in result.err) == (case.status, True), result.err
    assert result.remote_refs == results[PLAIN]["ls-remote"].remote_refs


def test_nothing_of_the_credential_is_left_in_a_container(
    field: Field, images: Images, secrets: list[Secret]
) -> None:
    """Of git and the shim alone, which has no other place to have it, either."""
    url = f"{field.url}/templates/plain.git"
    setup = field.setup(images.git_alone)
    options = (*setup.words(), *_variables("descriptors"))
    with started(setup.image, *options, command=("git", "clone", url, "/copy")) as container:
        assert docker("wait", container.id).succeeded().stdout == "0"
        exported = container.export()
    assert [secret.find(exported) for secret in secrets] == [[]] * len(secrets)
    with tarfile.open(fileobj=BytesIO(exported)) as files:
        names = files.getnames()
    assert {"copy/notes", "usr/bin/git-ssh", "etc/gitconfig"} <= set(names)
    assert "usr/lib/git-core/git-remote-https" in names
    assert [name for name in names if "known_hosts" in name or ".ssh" in name] == []


def test_on_a_terminal(field: Field, client: Container, results: dict[str, Result]) -> None:
    """git shows its progress, and a complaint of the server's comes to the same terminal."""
    folder = client.run("mktemp", "-d", cwd="/").succeeded().stdout
    work = (
        f"export AIRLOCK_SOCKET={_socket('descriptors')['AIRLOCK_SOCKET']}; "
        f"git clone {field.url}/templates/plain.git terminal; "
        f"git -C terminal fetch {field.url}/nothing.git"
    )
    with client.sit_at("sh", "-c", work, rows=24, cols=80, cwd=folder) as terminal:
        terminal.wait_for("Receiving objects: 100%")
        terminal.wait_for(ABSENT[field.transport])
        assert terminal.wait() == 128


def test_the_records_say_what_was_asked_for(
    field: Field, results: dict[str, dict[str, Result]]
) -> None:
    """A push has its refs, and a refusal its rule."""
    records = [
        record
        for record in field.airlocks["descriptors"].audit()
        if field.side("descriptors") in str(record)
    ]
    pushed = [r for r in records if "push-a-branch" in str(r) and r["event"] == "broker"]
    assert [record["detail"]["service"] for record in pushed] == ["git-receive-pack"] * 2
    assert pushed[0]["detail"]["refs"][0]["ref"] == "refs/heads/agent/x"
    refused = [r for r in records if "refused-delete" in str(r) and r["event"] == "broker"]
    assert [record["rule"] for record in refused] == ["delete"]


@over_ssh
@pytest.mark.parametrize("host", ["work", "far"])
def test_the_persons_own_names_of_hosts_lead_there(
    field: Field, client: Container, results: dict[str, dict[str, Result]], host: str
) -> None:
    """An alias, and a host behind another one; nothing in the person's `~/.ssh` changes."""
    home = field.account.home / ".ssh"
    field.account.write(home / "config", ALIASES.format(port=field.server.port))
    before = look_at(home)
    try:
        work = (
            f"git clone {host}:{ROOT}/{field.side(PLAIN)}/ls-remote.git /tmp/{host} && "
            f"git -C /tmp/{host} push origin HEAD:refs/heads/agent/{host}"
        )
        socket = {"AIRLOCK_SOCKET": "/run/descriptors/aliased/airlock.sock"}
        client.run("sh", "-c", work, cwd="/", env=socket).succeeded()
        assert look_at(home) == before
    finally:
        (home / "config").unlink()


def _socket(way: str) -> dict[str, str]:
    return {"AIRLOCK_SOCKET": f"/run/{way}/trusted/airlock.sock"}


def _variables(way: str) -> list[str]:
    """Options of `docker run` for a git that has no environment of its image's."""
    variables = {**_socket(way), "PATH": "/usr/bin", **ENVIRONMENT}
    return [f"--env={name}={value}" for name, value in variables.items()]
