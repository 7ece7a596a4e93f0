"""Parts of /etc and of /dev in a box, and that nothing is there of the rest of either."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from airlock_daemon.boundary.box.box import System
from airlock_daemon.boundary.box.bubblewrap import find_parts
from boxing import needs_bubblewrap
from container_hosts import Host, Runner, plan

pytestmark = needs_bubblewrap

DEVICES = {"null", "zero", "full", "random", "urandom", "tty"}
LINKS = {"fd", "stdin", "stdout", "stderr", "core", "ptmx"}
BELOW = {"pts", "shm"}

LOOK_AROUND = """
ls -A /dev
echo //
cut -d' ' -f5 /proc/self/mountinfo
echo //
for way in /dev/.host /dev/.host/etc/shadow /dev/../.host /etc/shadow /etc/machine-id /dev/mem; do
    if [ -e $way ]; then echo $way is there; fi
done
for device in null tty; do true < /dev/$device && echo $device is opened; done 2>/dev/null
echo x > /dev/null && head -c 4 /dev/zero | wc -c
for path in /dev/null /etc/ld.so.cache /etc/passwd; do
    (true > $path.new || rm -f $path || mv $path /tmp/) 2>/dev/null && echo $path is changed
    (true >> $path) 2>/dev/null && echo $path is written
done
"""


async def test_a_box_has_nothing_of_dev_and_etc_but_its_parts(runner: Runner, host: Host) -> None:
    """Neither their names nor a mount of the whole, by which the rest could be reached."""
    said = (await host.run_by(runner, LOOK_AROUND)).split("//\n")
    assert set(said[0].split()) == DEVICES | LINKS | BELOW
    points = said[1].split()
    assert {point for point in points if point.startswith("/dev")} == {
        "/dev",
        *(f"/dev/{name}" for name in (DEVICES | BELOW)),
    }
    with host.enter() as workspace:
        parts = {part.target for part in find_parts(plan(workspace))}
    assert {point for point in points if point.startswith("/etc/")} == parts
    # Of a terminal there is none here.
    assert said[2].split("\n") == ["null is opened", "4", "/dev/null is written", ""]


async def test_a_file_of_etc_is_the_hosts_own(runner: Runner, host: Host) -> None:
    """Not a copy, of which each box would have one in memory, and made before it waits."""
    with host.enter() as workspace:
        parts = find_parts(plan(workspace))
    files = [each.path for each in parts if os.path.isfile(each.path)]
    assert files
    said = await host.run_by(runner, f"stat -c %i {' '.join(files)}")
    assert [int(number) for number in said.split()] == [os.stat(path).st_ino for path in files]


@pytest.mark.parametrize(
    "target", ["/etc/services", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl"]
)
async def test_what_is_shown_at_a_part_in_it_or_around_it_is_there(
    runner: Runner, host: Host, tmp_path: Path, target: str
) -> None:
    """As the box has them one after the other, where somebody names such a place to be shown."""
    shown = host.make("shown", "shown")
    own = System(str(shown if os.path.isdir(target) else shown / "file"), target)
    with host.enter() as workspace:
        box = plan(workspace)
        before = find_parts(box)
        box = replace(box, operations=(*box.operations, own))
        if len(find_parts(box)) == len(before):
            pytest.skip(f"this host has no part at {target}")
        output = tmp_path / "said"
        with output.open("w") as file:
            await runner.run(
                workspace, f"find {target} -type f -exec cat {{}} +", file.fileno(), box=box
            )
        assert output.read_text() == "shown\n"
