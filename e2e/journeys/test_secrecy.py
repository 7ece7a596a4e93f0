"""No piece of any credential reaches the container that uses it."""

import zipfile
from pathlib import Path

import pytest
from e2e.world.container import SOCKET, Setup
from e2e.world.engine import docker
from e2e.world.images import Images
from e2e.world.keys import KeyPair, find_runs
from e2e.world.scene import Stage
from e2e.world.secrets import RUN, Password, read_tree

from .errands.errand import Errand

# The environments of all processes, while the command runs, come before what it says itself.
LOOK = '"$@" & command=$!; cat /proc/[0-9]*/environ; wait "$command"'


def test_a_container_holds_nothing_of_a_credential(
    stages: dict[str, Stage], errand: Errand
) -> None:
    """Neither its environments, its files, its workspace, nor what the engine knows of it."""
    scene = stages["user"].workshop
    job = errand.job(scene)
    with scene.setup(scene.images.busybox).running() as client:
        said = [
            client.run("sh", "-c", LOOK, "sh", *argv, cwd=job.cwd).succeeded() for argv in job.argvs
        ]
        seen = {
            "environments and output": b"".join(done.out + done.err for done in said),
            "file system": client.export(),
            "engine": docker("inspect", client.id).succeeded().out,
            "workspace": read_tree(scene.project.path),
        }
    assert job.arrived()
    assert b"PATH=" in seen["environments and output"]
    for where, data in seen.items():
        for secret in errand.secrets():
            assert secret.find(data) == [], where


def test_recorded_traffic_holds_nothing_of_a_credential(
    stages: dict[str, Stage], errand: Errand
) -> None:
    """A relay between the shim and the daemon sees requests and answers, and no secret.

    Descriptors do not get through it, so that all output passes by.
    """
    scene = stages["user"].workshop
    job = errand.job(scene)
    record = ("-r", "/tmp/sent", "-R", "/tmp/received")
    ends = ("UNIX-LISTEN:/tmp/relay.sock,fork", f"UNIX-CONNECT:{SOCKET}")
    with (
        scene.setup(scene.images.debian).running() as client,
        client.start("socat", "-d", "-d", *record, *ends, cwd="/") as relay,
    ):
        relay.wait_for("listening on")
        job.do(client, environment={"AIRLOCK_SOCKET": "/tmp/relay.sock"}).succeeded()
        sent = client.run("cat", "/tmp/sent").succeeded().out
        received = client.run("cat", "/tmp/received").succeeded().out
    assert job.arrived()
    assert sent.count(b'"exec"') == len(job.argvs)
    assert received.count(b'"exit_code":0') == len(job.argvs)
    for data in (sent, received):
        for secret in errand.secrets():
            assert secret.find(data) == []


def test_a_container_holds_nothing_in_the_middle_of_a_push(
    user_stage: Stage, other_key: KeyPair
) -> None:
    """While the server keeps a push waiting no process has the key in its environment."""
    scene = user_stage.scene()
    scene.project.repository.hold_pushes()
    with (
        scene.setup(scene.images.busybox).running() as client,
        client.start("git", "push", "origin", "main") as push,
    ):
        push.wait_for("the server holds this push")
        look = client.run("sh", "-c", "cat /proc/[0-9]*/environ")
        scene.project.repository.let_go()
        assert push.wait() == 0
    assert scene.project.repository.commit("main") == scene.project.head()
    assert b"PATH=" in look.out
    assert find_runs(user_stage.key, unlike=other_key, data=look.out) == []


def test_the_search_finds_every_credential(
    stages: dict[str, Stage], errand: Errand, images: Images
) -> None:
    """The file that the host keeps it in would be noticed in a container."""
    stage = stages["user"]
    kept = (stage.account.home / errand.credential).read_bytes()
    with Setup(image=images.busybox, mounts={}).running() as client:
        client.run("tee", "/tmp/kept", cwd="/", stdin=kept).succeeded()
        dirty = client.export()
    assert any(secret.find(dirty) for secret in errand.secrets())


@pytest.mark.parametrize("before", ["", "a", "ab", "ada:"])
def test_the_search_finds_every_form(before: str, tmp_path: Path) -> None:
    """Whatever a password is encoded as, and packed into, any RUN characters are found."""
    password = Password("0a/b+C1d2E3f4G5h6I7j8K9l0M1n2O3p4Q5r6S7t")
    for form in password.forms():
        for start in range(len(form) - RUN + 1):
            assert password.find(before.encode() + form[start : start + RUN] + b"...")
    with zipfile.ZipFile(tmp_path / "packed", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("name", f"{before}{password.value}")
    assert password.find(read_tree(tmp_path))
    assert password.find(b"nothing of it") == []
