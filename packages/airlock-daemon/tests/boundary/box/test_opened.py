"""What a box shares of a workspace: opened as it was found, and never waited for by others."""

import pytest
import trio
import trio.testing

from airlock_daemon.boundary.box.box import Box, FileId, Shared, identify_descriptor, list_shared
from airlock_daemon.boundary.box.inner_mounts import opened
from airlock_daemon.errors import Denied
from boxing import needs_bubblewrap
from container_hosts import NOTHING, Host, plan

pytestmark = needs_bubblewrap


async def open_all(box: Box, lookups: trio.CapacityLimiter | None) -> list[tuple[Shared, FileId]]:
    """Each with the mark of what was opened for it."""
    async with opened(box, NOTHING, lookups) as shared:
        return [(what, identify_descriptor(descriptor)) for what, descriptor in shared.items()]


async def test_what_was_found_is_what_is_opened(host: Host) -> None:
    """Without a thread, where the kernel knows of it."""
    with host.enter() as workspace:
        box = plan(workspace)
    assert await open_all(box, None) == [(what, what.file_id) for what in list_shared(box)]


@pytest.mark.parametrize("change", ["another", "gone"])
async def test_what_was_put_in_its_place_is_not_opened(host: Host, change: str) -> None:
    """Neither in place nor by a thread."""
    with host.enter() as workspace:
        box = plan(workspace)
    host.workspace.rename(host.root / "moved")
    if change == "another":
        host.workspace.mkdir()
    for lookups in (None, trio.CapacityLimiter(1)):
        with pytest.raises(Denied):
            await open_all(box, lookups)


async def test_a_thread_waits_for_what_the_kernel_does_not_know(host: Host) -> None:
    """And everything else goes on; who has no thread does not wait."""
    with host.enter() as workspace:
        box = plan(workspace)
    host.workspace.rename(host.root / "moved")
    threads = trio.CapacityLimiter(1)
    threads.acquire_on_behalf_of_nowait(threads)
    outcome = list[bool]()

    async def look() -> None:
        with pytest.raises(Denied):
            await open_all(box, threads)
        outcome.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await trio.testing.wait_all_tasks_blocked()
        assert not outcome
        threads.release_on_behalf_of(threads)
    assert outcome
