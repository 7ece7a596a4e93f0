"""Whether a box can be made on this host, and what forbids it."""

import functools
import os
import shutil
from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.support import find_missing
from airlock_daemon.setup.boxes import BUBBLEWRAP, BoxConfig, explain_no_fence, wants_box
from airlock_daemon.setup.finding import Finding

_CLONE = "/proc/sys/kernel/unprivileged_userns_clone"
_MOST = "/proc/sys/user/max_user_namespaces"


def find_bubblewrap_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that bubblewrap is not there, or makes no box though it is, by making one.

    Nothing is told of systems that cannot have boxes. It is more than a note where a module wants
    one.
    """
    if find_missing():
        # Whoever serves does so elsewhere.
        return
    # Where a command uses APIs, the image's own tool may do without.
    is_note = not any(wants_box(each) and not each.uses_apis for each in around.list_modules())
    program = shutil.which(BUBBLEWRAP, path=around.daemon_path)
    if program is None:
        source, problem = BUBBLEWRAP, "is not on the daemon's PATH, so that no box can be made"
        remedy = "sudo apt-get install bubblewrap, or dnf install bubblewrap"
    else:
        source = program
        said = make_box(around)
        if said is None:
            return
        problem = f"makes no box: {said} ({_tell_instead(around)})"
        remedy = "see what is found of container, user-namespaces and apparmor"
    yield Finding(source, "", problem, remedy, name="bubblewrap", is_note=is_note)


def find_forbidden_namespaces(around: Surroundings) -> Iterator[Finding]:
    """Tell settings of the kernel by which an ordinary user has no user namespaces."""
    for path, name, value in (
        (_CLONE, "kernel.unprivileged_userns_clone", "1"),
        (_MOST, "user.max_user_namespaces", "10000"),
    ):
        if around.read(path) == "0":
            remedy = f"sudo sysctl -w {name}={value}, and write that to /etc/sysctl.d/airlock.conf"
            problem = "is 0, which forbids the user namespaces that a box is made of"
            yield Finding(path, "", problem, remedy, name="user-namespaces", is_note=True)


def make_box(around: Surroundings) -> str | None:
    """Make a box; what was said where it did not work, or why it cannot be tried."""
    program = shutil.which(BUBBLEWRAP, path=around.daemon_path)
    if program is None or find_missing():
        return "there is no bubblewrap"
    config = BoxConfig() if around.setup is None else around.setup.config.boxes
    there = os.stat(program)
    return _try(program, config, (there.st_dev, there.st_ino, there.st_mtime_ns))


def name_box(around: Surroundings) -> str:
    """What makes the boxes of a daemon that is started now, as records call it."""
    if find_missing():
        return "none"
    mode = "auto" if around.setup is None else around.setup.config.boxes.mode
    if mode == "off":
        return "off"
    if mode != "landlock" and make_box(around) is None:
        return "bubblewrap"
    return "none" if mode == "require-bubblewrap" or explain_no_fence() else "landlock"


def _tell_instead(around: Surroundings) -> str:
    if name_box(around) == "landlock":
        return "Landlock makes them in its place"
    return f"and nothing is in its place: {explain_no_fence() or '[sandbox] mode says so'}"


@functools.cache
def _try(program: str, config: BoxConfig, mark: tuple[int, ...]) -> str | None:
    """As `make_box`, once for the same program, which `mark` tells apart."""
    del mark
    # What these stand on cannot be imported on other systems.
    from airlock_daemon.sandbox.choice import find_identity  # noqa: PLC0415
    from airlock_daemon.sandbox.probe import probe  # noqa: PLC0415

    try:
        return probe(program, find_identity(config))
    except AirlockError as error:
        return f"{error.message}; {error.hint}"
