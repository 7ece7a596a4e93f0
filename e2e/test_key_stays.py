"""Nothing of the key reaches the container: not its files, its processes, nor the socket."""

from .world.container import SOCKET
from .world.keys import KeyPair, find_runs
from .world.scene import Stage


def test_a_container_that_pushes_holds_nothing_of_the_key(
    user_stage: Stage, other_key: KeyPair
) -> None:
    """In the middle of a push no process has it in its environment; afterwards no file has it."""
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
        seen = {
            "environ": look.out,
            "output": push.heard.encode(),
            "file system": client.export(),
            "workspace": client.run("tar", "-c", ".").succeeded().out,
        }
    assert scene.project.repository.commit("main") == scene.project.head()
    assert b"PATH=" in seen["environ"]
    for where, data in seen.items():
        assert find_runs(user_stage.key, unlike=other_key, data=data) == [], where


def test_recorded_traffic_holds_nothing_of_the_key(user_stage: Stage, other_key: KeyPair) -> None:
    """A relay in the container that records both directions of a push sees no piece of the key."""
    scene = user_stage.scene()
    record = ("-r", "/tmp/sent", "-R", "/tmp/received")
    ends = ("UNIX-LISTEN:/tmp/relay.sock", f"UNIX-CONNECT:{SOCKET}")
    with (
        scene.setup(scene.images.debian).running() as client,
        client.start("socat", "-d", "-d", *record, *ends, cwd="/") as relay,
    ):
        relay.wait_for("listening on")
        through = {"AIRLOCK_SOCKET": "/tmp/relay.sock"}
        client.run("git", "push", "origin", "main", env=through).succeeded()
        relay.wait()
        sent = client.run("cat", "/tmp/sent").succeeded().out
        received = client.run("cat", "/tmp/received").succeeded().out
    assert scene.project.repository.commit("main") == scene.project.head()
    assert b'"push"' in sent
    assert b'"exit_code":0' in received
    for data in (sent, received):
        assert find_runs(user_stage.key, unlike=other_key, data=data) == []
