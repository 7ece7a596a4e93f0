"""No piece of any credential reaches the container that uses it."""

import zipfile
from pathlib import Path

import pytest
from e2e.world.container import SOCKET, Container, Setup
from e2e.world.engine import docker
from e2e.world.images import Images
from e2e.world.scene import Stage
from e2e.world.secrets import RUN, Password, read_tree

from .errands.errand import Errand
from .remotes.ground import ENVIRONMENT
from .remotes.wire import WIRES, describe

# The environments of all processes, while the command runs, come before what it says itself.
LOOK = '"$@" & command=$!; cat /proc/[0-9]*/environ; wait "$command"'

RELAY = "/tmp/relay.sock"


# Each conversation that there is: clone, push, fetch, one that is refused and one that fails.
WORK = """
airlock-shim --install-git
git init --quiet --initial-branch=main /tmp/seed && cd /tmp/seed
git commit --quiet --allow-empty --message=seed
git push {url} main
git clone {url} /tmp/copy && cd /tmp/copy
printf '#!/bin/sh\\ncat /proc/[0-9]*/environ 2>/dev/null; true\\n' >.git/hooks/pre-push
chmod +x .git/hooks/pre-push
git commit --quiet --allow-empty --message=more
git push origin HEAD:refs/heads/more HEAD:refs/tags/v1
git fetch --prune origin
! git push origin HEAD:refs/heads/kept
! git push origin HEAD:refs/odd/x
! git fetch {url}.nothing
! git ls-remote {url}/../../etc
echo all of it was done
"""
TRACED = {f"GIT_{name}": "1" for name in ("TRACE", "TRACE_PACKET", "TRACE_CURL", "TRACE_SETUP")} | {
    "GIT_CURL_VERBOSE": "1",
    "GIT_TRACE_CURL_NO_DATA": "0",
}


def converse(client: Container, url: str, *, environment: dict[str, str]) -> bytes:
    """Carry out WORK and return everything that was printed."""
    script = WORK.format(url=url)
    done = client.run("sh", "-euc", script, cwd="/", env={**ENVIRONMENT, **TRACED, **environment})
    said = done.succeeded().out + done.err
    for there in (b"all of it was done", b"packet:", b"PATH=", b"airlock: [git] protect forbids"):
        assert there in said
    return said


@pytest.mark.parametrize("is_recorded", [False, True], ids=["passed", "recorded"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_containers_own_git_sees_nothing_of_a_credential(
    stages: dict[str, Stage], wire: str, is_recorded: bool, request: pytest.FixtureRequest
) -> None:
    """Whatever it traces, its hooks see, passes by on its socket, and is left in its files."""
    errand: Errand = request.getfixturevalue(WIRES[wire].errand)
    stage = stages["user"]
    scene = WIRES[wire].scene(stage, 'protect = ["refs/heads/kept"]')
    url = WIRES[wire].url(scene.project.repository)
    ends = ("-r", "/tmp/sent", "-R", "/tmp/received", f"UNIX-LISTEN:{RELAY},fork")
    seen = {}
    try:
        with describe(scene).running() as client:
            if is_recorded:
                words = ("socat", "-d", "-d", *ends, f"UNIX-CONNECT:{SOCKET}")
                with client.start(*words, cwd="/") as relay:
                    relay.wait_for("listening on")
                    environment = {"AIRLOCK_SOCKET": RELAY}
                    seen["printed"] = converse(client, url, environment=environment)
                for name in ("sent", "received"):
                    seen[name] = client.run("cat", f"/tmp/{name}", cwd="/").succeeded().out
                assert seen["sent"].count(b'"git-remote"') >= len(WORK.split("{url}"))
            else:
                seen["printed"] = converse(client, url, environment={})
            seen["file system"] = client.read_changes()
            seen["engine"] = docker("inspect", client.id).succeeded().out
    finally:
        stage.clear()
    assert scene.project.repository.commit("more") is not None
    assert scene.project.repository.commit("kept") is None
    for where, data in seen.items():
        for secret in errand.secrets():
            assert secret.find(data) == [], where


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
            "file system": client.read_changes(),
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


def test_the_search_finds_every_credential(
    stages: dict[str, Stage], errand: Errand, images: Images
) -> None:
    """The file that the host keeps it in would be noticed in a container."""
    stage = stages["user"]
    kept = (stage.account.home / errand.credential).read_bytes()
    with Setup(image=images.busybox, mounts={}).running() as client:
        client.run("tee", "/tmp/kept", cwd="/", stdin=kept).succeeded()
        dirty = client.read_changes()
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
