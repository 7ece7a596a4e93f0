"""Whether what the boxes of an agent use together is bounded, by cgroups of the running daemon."""

import os
from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.platform.support import find_missing
from airlock_daemon.setup.boxes import wants_box
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.notice import find_posted

_UNBOUNDED = "limits apply per command, not per agent"

_LINES = "[Service] Delegate=cpu memory pids"


def find_unbounded_boxes(around: Surroundings) -> Iterator[Finding]:
    """Tell that the daemon could not divide its cgroup, or not all of it."""
    if find_missing() or not any(map(wants_box, around.list_modules())):
        return
    posted = find_posted(around.locations.sockets_dir)
    if posted is None:
        return
    try:
        found = _look(posted.pid)
    except OSError:
        # It has ended meanwhile.
        return
    if found is not None:
        source, problem, remedy = found
        yield Finding(source, "", f"{problem}: {_UNBOUNDED}", remedy, name="cgroups", is_note=True)


def _look(pid: int) -> tuple[str, str, str] | None:
    """What is found, what is wrong with it, and what to do; None where all is bounded."""
    # What these stand on cannot be imported on other systems.
    from airlock_daemon.platform.linux.cgroup import find_group, read_group  # noqa: PLC0415
    from airlock_daemon.sandbox.groups import CONTROLLERS, DAEMON  # noqa: PLC0415

    group = find_group(pid)
    if group is None:
        remedy = (
            "boot with systemd.unified_cgroup_hierarchy=1, or in a container bound that: "
            "docker run --memory --pids-limit"
        )
        return "cgroups", "are not of version 2 for the daemon", remedy
    if os.path.basename(group) != DAEMON:
        remedy = (
            f"run as the service of airlock-daemon init; for another one of systemd: {_LINES} and "
            "Environment=AIRLOCK_DELEGATED=1; "
            "in a container bound that: docker run --memory --pids-limit"
        )
        return group, "is not delegated to the daemon", remedy
    bounded = read_group(os.path.dirname(group), "cgroup.subtree_control")
    missing = [name for name in CONTROLLERS if name not in bounded]
    if missing:
        remedy = f"sudo systemctl edit user@.service: {_LINES}; and log in again"
        return group, f"cannot bound {' and '.join(missing)}", remedy
    return None
