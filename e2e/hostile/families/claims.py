"""What a client says of itself: a hint at best, and refused where the kernel knows better."""

import json
import os
from functools import partial

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.hostile.standing import forgotten, stand
from e2e.hostile.world import HOSTILE
from e2e.world.errors import BrokenError, NotHereError
from e2e.world.lines import make_request, make_script
from e2e.world.worker import start_module

# None of these lies below /workspace, which is all that the agent has.
_OUTSIDE = (
    "/",
    "",
    ".",
    "relative",
    "/etc",
    "/workspace/..",
    "/workspace/../config",
    "/workspace/./../../../etc",
    "/workspace//..//..",
    "//workspace/../etc",
    "/workspace/out",
    "/workspace/out/fd",
    "/workspace/deep/back/..",
    "/workspace/loop",
    "/workspace/file",
    "/workspace/fifo",
    "/workspace/missing",
    "/workspace/self",
    "/workspace2",
    "/workspacex/..",
    "/WORKSPACE",
    "/proc/self/cwd",
    "/workspace/" + "a/" * 3000,
    "/workspace/" + "x" * 5000,
    "/workspace/\u202e",
)

_CONTAINERS = (
    "0" * 64,
    "f" * 64,
    "F" * 64,
    "",
    "g" * 64,
    "0" * 63,
    "0" * 65,
    "../" * 20,
    "x" * 100_000,
    "-v",
    "\n",
)


def _claim_directory(scene: Scene, *, directory: str) -> None:
    _lay_traps(scene)
    with scene.connect() as client:
        client.send(make_script("pwd -P", cwd=directory))
        output = []
        while (message := client.next_message()) is not None:
            if message.get("method") == "output":
                output.append(message["params"]["data"])
    where = "".join(output).strip()
    world = scene.daemon.world
    if where and not where.startswith((f"{world.workspace}", f"{world.temporary}/")):
        raise BrokenError(f"{directory[:80]!a} led to {where!a}")


def _lay_traps(scene: Scene) -> None:
    workspace = scene.daemon.world.workspace
    if (workspace / "out").is_symlink():
        return
    (workspace / "out").symlink_to("/proc/self")
    (workspace / "self").symlink_to("/")
    (workspace / "loop").symlink_to("loop")
    (workspace / "deep").mkdir()
    (workspace / "deep" / "back").symlink_to("../..")
    (workspace / "file").touch()
    os.mkfifo(workspace / "fifo")


def _claim_container(scene: Scene, *, container: str) -> None:
    with scene.connect() as client:
        client.send(make_request("true", container_id=container))
        if not scene.is_bridged:
            client.await_error(-32600)
            return
        # PROTOCOL.md, S-12: it decides nothing.
        client.await_result()
        client.await_end()
    if f'"container":{json.dumps(container)}' in scene.daemon.world.log.read_text():
        raise BrokenError("the log has it for the client's container")


def swap_the_directory(scene: Scene) -> None:
    """A directory that becomes a link while it is looked at leads nowhere else."""
    world = scene.daemon.world
    place, link, spare = (world.workspace / name for name in ("place", "link", "spare"))
    place.mkdir()
    link.symlink_to("/etc")
    for _ in range(200):
        with scene.connect() as client:
            client.send(make_script("pwd -P", cwd="/workspace/place"))
            os.rename(place, spare)
            os.rename(link, place)
            response = ""
            while (message := client.next_message()) is not None:
                response += str(message)
            os.rename(place, link)
            os.rename(spare, place)
        if "/etc" in response:
            raise BrokenError(f"the tool ran outside of the workspace: {response}")


def lead_the_long_way(scene: Scene) -> None:
    """A path of hundreds of directories and links is refused before all of it was followed."""
    workspace = scene.daemon.world.workspace
    for number in range(40):
        (workspace / f"link{number}").symlink_to("deep/../" * 400 + f"link{number + 1}")
    (workspace / "link40").mkdir()
    for path in ("link0", "deep/../" * 400):
        for _ in range(50):
            with scene.connect() as client:
                client.send(make_script("pwd", cwd=f"/workspace/{path}".rstrip("/")))
                client.await_error(-32600)


def lead_to_a_dead_directory(scene: Scene) -> None:
    """A link to a place of the host where nobody answers is not even followed."""
    world = scene.daemon.world
    dead = world.folder / "dead"
    dead.mkdir()
    with stand(scene, "dead_directory", str(dead)):
        (world.workspace / "nowhere").symlink_to(dead / "x")
        (world.workspace / "up").symlink_to("../dead/x")
        for link in ("nowhere", "up", "nowhere/y"):
            with scene.connect() as client:
                client.send(make_script("pwd", cwd=f"/workspace/{link}"))
                scene.daemon.ask_true()
                client.await_error(-32600)


def stand_in_a_dead_directory(scene: Scene) -> None:
    """Where a workspace does not answer, only who wants to run in it waits."""
    dead = scene.daemon.world.workspace / "mute"
    dead.mkdir()
    with scene.connect() as client:
        with stand(scene, "dead_directory", str(dead), "mute"):
            client.send(make_script("pwd", cwd="/workspace/mute"))
        client.await_error(-32603)


def _hold_a_directory(scene: Scene, *, line: bytes) -> None:
    """Who has the lock of one may have it for ever, and to look for a name there waits for that."""
    held = scene.daemon.world.workspace / "held"
    held.mkdir(exist_ok=True)
    (held / "one").touch()
    with scene.connect() as client:
        with stand(scene, "held_directories", str(held)):
            client.send(line)
        client.await_error(-32600)


def hold_what_is_above_a_workspace(scene: Scene) -> None:
    """The host's name of another workspace is looked for there, and that is gone."""
    inner = scene.daemon.world.inner
    with forgotten(inner), scene.connect() as client:
        with stand(scene, "held_directories", str(inner.parent)):
            client.send(make_request("true", cwd="/inner"))
        client.await_error(-32600)


def bring_many_mounts(scene: Scene) -> None:
    """What a container has mounted is not looked through without end."""
    if scene.is_bridged:
        raise NotHereError("the mounts of a client behind a bridge are not seen")
    if os.geteuid():
        raise NotHereError("to mount needs root")
    world = scene.daemon.world
    place = world.folder / "mounts"
    place.mkdir()
    client = start_module("e2e.hostile.many_mounts", str(world.socket(HOSTILE)), str(place))
    said, _ = client.communicate()
    scene.note_request()
    if said.strip() != b"mounts":
        raise BrokenError(f"a refusal by mounts was awaited, and {said!r} came")


FAMILY = make_family(
    "claims",
    "lies about directory and container",
    *(
        Attack(f"directory {name[:40]!a}", partial(_claim_directory, directory=name))
        for name in _OUTSIDE
    ),
    *(
        Attack(f"container {name[:20]!a} of {len(name)}", partial(_claim_container, container=name))
        for name in _CONTAINERS
    ),
    *(
        Attack(f"directory whose lock is held, {name}", partial(_hold_a_directory, line=line))
        for name, line in (
            ("below it", make_request("true", cwd="/workspace/held/never")),
            ("beside a check", make_request("true", cwd="/workspace/held/no", method="check")),
        )
    ),
    swap_the_directory,
    lead_the_long_way,
    lead_to_a_dead_directory,
    stand_in_a_dead_directory,
    hold_what_is_above_a_workspace,
    bring_many_mounts,
    promise="G5",
)
