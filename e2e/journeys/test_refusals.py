"""What a container may not do, and that it is told why."""

from collections.abc import Iterator
from typing import Any

import pytest
from e2e.world.command import Completed
from e2e.world.container import Container
from e2e.world.engine import docker
from e2e.world.scene import MAPPED, UNMAPPED, Scene, Stage

from .conftest import KINDS


@pytest.fixture(scope="module", params=KINDS)
def scene(request: pytest.FixtureRequest, stages: dict[str, Stage]) -> Scene:
    """Return the shared scene of each account in turn."""
    return stages[request.param].shared


@pytest.fixture(scope="module")
def client(scene: Scene) -> Iterator[Container]:
    """Return a container of that scene that can send requests of its own making."""
    with scene.setup(scene.images.debian).running() as client:
        yield client


def test_an_honest_request_is_granted(client: Container) -> None:
    """The control: the true directory, with and without the true container id, is answered."""
    for claimed in (None, client.id):
        assert _ask(client, container_id=claimed)["result"] == {"exit_code": 0}


@pytest.mark.parametrize(
    "cwd",
    [
        pytest.param("/etc", id="elsewhere"),
        pytest.param("/workspace-2", id="same-beginning"),
        pytest.param("/workspace/..", id="dots"),
        pytest.param("/workspace/sub/../../etc", id="dots-inside"),
        pytest.param("workspace", id="relative"),
        pytest.param("", id="empty"),
        pytest.param("/workspace/out", id="link-to-etc"),
        pytest.param("/workspace/up", id="link-to-parent"),
        pytest.param("/workspace/host", id="link-through-proc"),
        pytest.param("/workspace/out/ssh", id="below-a-link"),
        pytest.param("/workspace/missing", id="missing"),
        pytest.param("/workspace/notes.txt", id="no-directory"),
    ],
)
def test_a_directory_outside_the_workspace_is_refused(
    scene: Scene, client: Container, cwd: str
) -> None:
    """Nothing runs in a directory that does not really lie in the workspace."""
    links = "mkdir -p sub && ln -sfn /etc out && ln -sfn .. up && ln -sfn /proc/1/root/etc host"
    client.run("sh", "-c", links).succeeded()
    _assert_denied(scene, _ask(client, cwd=cwd), layer="workspace")


def test_a_made_up_container_is_refused(scene: Scene, client: Container) -> None:
    """A container id that no container has does not stand against what the kernel says."""
    _assert_denied(scene, _ask(client, container_id="f" * 64), layer="workspace")


def test_another_containers_id_is_refused(scene: Scene, client: Container) -> None:
    """The id of a container that is there does not lend its directories to another one."""
    with scene.setup(scene.images.busybox).running() as other:
        _assert_denied(scene, _ask(client, container_id=other.id), layer="workspace")


def test_a_directory_of_the_container_is_refused(scene: Scene, client: Container) -> None:
    """Through the shim: a directory that only the container has is no place to run in."""
    refused = client.run("git", "status", cwd="/etc")
    _assert_refused(refused, "/etc")


def test_a_shared_pid_namespace_is_refused(scene: Scene) -> None:
    """A container that sees the host's processes (--pid=host) gets nothing to run."""
    seeing = scene.setup(scene.images.busybox, "--pid=host")
    _assert_refused(seeing.run("git", "status"), "--pid=host")


@pytest.mark.parametrize("profile", [UNMAPPED, MAPPED], ids=["unmapped", "mapped"])
def test_what_is_mounted_read_only_stays_so(user_stage: Stage, profile: str) -> None:
    """In a box it can be looked at; a tool without one cannot be held to that and does not run.

    A profile that maps the directory does not make it writable.
    """
    modules = {"linger": '[command]\nbin = "sh"\n[deny]\nargs = []\n[sandbox]\nbox = "none"\n'}
    scene = user_stage.scene(profile=profile, modules=modules)
    with scene.setup(scene.images.busybox, workspace="ro").running() as client:
        client.run("git", "log").succeeded()
        commit = client.run("git", "commit", "--allow-empty", "--message=no")
        assert commit.exit_code == 128
        assert "Read-only file system" in commit.stderr
        _assert_refused(client.run("linger", "-c", "true"), "read-only")


def test_the_containers_own_files_are_no_workspace(user_stage: Stage) -> None:
    """Without a mount below it, a directory of the image maps to nothing on the host."""
    scene = user_stage.scene(profile=UNMAPPED)
    with scene.setup(scene.images.debian).running() as client:
        for cwd in ("/usr", "/root", "/proc/1", "/run"):
            _assert_denied(scene, _ask(client, cwd=cwd), layer="workspace")


def test_a_mount_namespace_of_the_clients_own_is_refused(user_stage: Stage) -> None:
    """Whoever may mount in the container cannot show the daemon mounts that are not the engine's.

    The container gets the right to mount from the person who starts it; a bind mount of /etc over
    the workspace would be a way to the host's /etc if the client's own view of it counted.
    """
    scene = user_stage.scene(profile=UNMAPPED)
    trick = "mount -o bind /etc /workspace && cd /workspace && git status"
    with scene.setup(
        scene.images.busybox, "--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"
    ).running() as client:
        client.run("git", "status").succeeded()
        _assert_refused(client.run("unshare", "-m", "sh", "-c", trick), "mount namespace")


def test_a_forged_cgroup_is_refused(user_stage: Stage) -> None:
    """A container placed in another one's cgroup is not taken for that other container."""
    if docker("info", "--format", "{{.CgroupDriver}}").succeeded().stdout != "cgroupfs":
        pytest.skip("the engine leaves cgroups to systemd, which takes slices only")
    scene = user_stage.scene(profile=UNMAPPED)
    with scene.setup(scene.images.busybox).running() as victim:
        forged = f"--cgroup-parent=/docker/{victim.id}"
        thief = scene.setup(scene.images.busybox, forged, workspace="")
        theft = "mkdir -p /workspace && cd /workspace && git log"
        _assert_refused(thief.run("sh", "-c", theft, cwd="/"), "container")


def test_the_socket_directory_is_no_workspace(user_stage: Stage) -> None:
    """What is mounted from Airlock's own directories is never a place to run in."""
    scene = user_stage.scene(profile=UNMAPPED)
    with scene.setup(scene.images.debian).running() as client:
        _assert_denied(scene, _ask(client, cwd="/run/airlock"), layer="workspace")


def test_a_workspace_that_holds_the_agent_directory_is_refused(user_stage: Stage) -> None:
    """An agent that could write its own profile is found by the mount that the container has."""
    scene = user_stage.scene(profile=UNMAPPED, start=False)
    scene.airlock.add_agent(
        "my-agent", profile=UNMAPPED, directory=scene.project.path / "agent-directory"
    )
    scene.airlock.start()
    refused = scene.setup(scene.images.busybox).run("git", "status")
    _assert_refused(refused, "agent-directory")


def _ask(client: Container, **changed: object) -> dict[str, Any]:
    """Ask for a command that is granted, but for what is changed about the request."""
    return client.ask("git", **{"args": ["status"], "cwd": "/workspace"} | changed)


def _assert_denied(scene: Scene, response: dict[str, Any], *, layer: str) -> None:
    """The response is a denial with a reason and a hint, and the log has it."""
    assert "error" in response, response
    error = response["error"]
    assert error["code"] == -32600
    assert error["data"]["kind"] == "denied"
    assert error["data"]["layer"] == layer
    assert error["message"]
    assert error["data"]["hint"]
    last = scene.airlock.audit()[-1]
    assert (last["event"], last["outcome"], last["layer"]) == ("exec", "denied", layer)


def _assert_refused(done: Completed, reason: str) -> None:
    """The shim ended as for a denial, said nothing of a tool's, and gave this reason."""
    assert done.exit_code == 126, done
    assert done.stdout == ""
    assert all(line.startswith("airlock: ") for line in done.stderr.splitlines())
    assert reason in done.stderr
