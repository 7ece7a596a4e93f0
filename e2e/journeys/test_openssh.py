"""The container's own git at servers of other times: OpenSSH and git of other Debians.

It runs with `-m nightly`: this machine's own release has the whole table in test_git_remote.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.executables import Executables
from e2e.world.git_server import running_git_server
from e2e.world.images import Images, make_git_server
from e2e.world.openssh import RELEASES, OpenSsh
from e2e.world.scene import Stage

from .remotes.case import read_table
from .remotes.field import WAYS, Field
from .remotes.ground import seed

pytestmark = pytest.mark.nightly

# Some of each kind: the whole table is carried out at this machine's own release.
CASES = [case for case in read_table() if not case.refused][::5]


@pytest.fixture(scope="module", params=RELEASES)
def field(
    request: pytest.FixtureRequest,
    stages: dict[str, Stage],
    ground: Path,
    executables: Executables,
) -> Iterator[Field]:
    """The server of that release, and daemons of the account, which knows it."""
    stage = stages["user"]
    with running_git_server(make_git_server(OpenSsh.make(request.param).image)) as server:
        server.authorize(stage.key)
        seed(server)
        known = stage.account.home / ".ssh/known_hosts"
        before = known.read_text()
        stage.account.write(known, before + server.known_hosts())
        folder = ground / f"remotes-{request.param}"
        field = Field(
            "ssh", account=stage.account, server=server, folder=folder, executables=executables
        )
        try:
            with field.running():
                yield field
        finally:
            stage.account.write(known, before)


def test_a_container_does_the_same_as_plain_git(field: Field, images: Images) -> None:
    """Exit status, what is said, and the refs of both ends."""
    plain = field.run_plain(CASES)
    assert {case.id: plain[case.id].status for case in CASES} == {
        case.id: case.status for case in CASES
    }
    with field.mount_shim(field.setup(images.debian)).running() as client:
        client.run("airlock-shim", "--install-git", cwd="/").succeeded()
        for way in WAYS:
            assert field.run_in(client, way, CASES) == plain
