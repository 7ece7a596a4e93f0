"""Whether a box can be made on this host, and what forbids it."""

import shutil
from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.support import find_missing
from airlock_daemon.setup.boxes import BUBBLEWRAP, BoxConfig, wants_box
from airlock_daemon.setup.finding import Finding

_CLONE = "/proc/sys/kernel/unprivileged_userns_clone"
_MOST = "/proc/sys/user/max_user_namespaces"
_RESTRICT = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"

_PROFILE = "bwrap-userns-restrict"


def find_bubblewrap_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that bubblewrap is not there, or makes no box though it is, by making one.

    Nothing is told of systems that cannot have boxes. It is more than a note where a module wants
    one.
    """
    if find_missing():
        # Whoever serves does so elsewhere.
        return
    is_note = not any(map(wants_box, around.list_modules()))
    program = shutil.which(BUBBLEWRAP, path=around.daemon_path)
    if program is None:
        source, problem = BUBBLEWRAP, "is not on the daemon's PATH, so that no box can be made"
        remedy = "sudo apt-get install bubblewrap, or dnf install bubblewrap"
    else:
        source = program
        said = _try(program, around)
        if said is None:
            return
        problem = f"makes no box: {said}"
        remedy = "see what is found of user-namespaces and apparmor, in a container its seccomp"
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


def find_apparmor_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that AppArmor takes the rights away from namespaces, as Ubuntu does since 23.10."""
    if around.read(_RESTRICT) != "1":
        return
    program = shutil.which(BUBBLEWRAP, path=around.daemon_path)
    if program is not None and _try(program, around) is None:
        return
    source = f"/usr/share/apparmor/extra-profiles/{_PROFILE}"
    remedy = (
        f"sudo apt-get install apparmor-profiles && sudo cp {source} /etc/apparmor.d/ && "
        f"sudo apparmor_parser -r /etc/apparmor.d/{_PROFILE}"
    )
    problem = "is 1: user namespaces have no rights but those that a profile of AppArmor grants"
    yield Finding(_RESTRICT, "", problem, remedy, name="apparmor", is_note=True)


def _try(program: str, around: Surroundings) -> str | None:
    """Make a box; what was said where it did not work."""
    # What these stand on cannot be imported on other systems.
    from airlock_daemon.sandbox.choice import find_identity  # noqa: PLC0415
    from airlock_daemon.sandbox.probe import probe  # noqa: PLC0415

    config = BoxConfig() if around.setup is None else around.setup.config.boxes
    try:
        return probe(program, find_identity(config))
    except AirlockError as error:
        return f"{error.message}; {error.hint}"
