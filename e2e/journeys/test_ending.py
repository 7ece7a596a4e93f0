"""When a client goes away its command ends on the host, with all that the command started."""

import pytest
from e2e.world.engine import remove
from e2e.world.running import Running, Witness, find_process
from e2e.world.scene import Scene, Stage

# Three processes, in three sessions where those are found, one of them orphaned at once. Each says
# its id and the pid namespace that has it; the main one does not care for a hang-up.
LINGER = """#!/bin/sh
space=$(readlink /proc/self/ns/pid)
{apart} sh -c 'echo pid $$ '"$space"'; exec sleep infinity' &
({apart} sh -c 'echo pid $$ '"$space"'; exec sleep infinity' &)
trap '' HUP
echo "pid $$ $space"
sleep infinity
"""
PROCESSES = 3


@pytest.fixture(params=["none", pytest.param("home", marks=pytest.mark.linux_only("boxes"))])
def lingering(user_stage: Stage, request: pytest.FixtureRequest) -> Scene:
    """Return a scene in which the agent has a command, `linger`, that goes on for ever.

    On the host as it is, and in a box with the human's home.
    """
    program = user_stage.account.home / "linger"
    is_found = not request.config.getoption("--without-linux")
    text = LINGER.format(apart="setsid" if is_found else "")
    user_stage.account.write(program, text, mode=0o755)
    module = f'[command]\nbin = "{program}"\n\n[deny]\nargs = []\n'
    module += f'[sandbox]\nbox = "{request.param}"\n'
    return user_stage.scene(modules={"linger": module})


def test_removing_the_container_ends_the_command(
    lingering: Scene, pytestconfig: pytest.Config
) -> None:
    """`docker rm -f` ends the command and its descendants on the host, and the log says so."""
    setup = lingering.setup(lingering.images.busybox)
    with setup.running() as client, client.start("linger") as command:
        witness = _witness(command)
        remove([client.id])
        witness.wait_for_end()
    # The record is written when all has ended; a daemon that has stopped has written it.
    lingering.airlock.stop()
    (record,) = [each for each in lingering.airlock.audit() if each["event"] == "exec"]
    assert record["outcome"] == "aborted"
    is_seen = not pytestconfig.getoption("--without-linux")
    assert record["container"] == (client.id if is_seen else None)


def _witness(command: Running) -> Witness:
    """Wait until all processes of the command run, and watch them."""
    lines = command.wait_for("pid ", times=PROCESSES)
    return Witness(find_process(int(pid), space) for _, pid, space in map(str.split, lines))
