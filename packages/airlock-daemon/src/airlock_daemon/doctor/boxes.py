"""Whether a box can be made on this host, and what forbids it."""

import shutil
from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.service.manager import ask
from airlock_daemon.setup.finding import Finding

_CLONE = "/proc/sys/kernel/unprivileged_userns_clone"
_MOST = "/proc/sys/user/max_user_namespaces"
_RESTRICT = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"

_BOX = ("--unshare-all", "--ro-bind", "/", "/", "--die-with-parent", "true")
_LONGEST_S = 10

_PROFILE = "bwrap-userns-restrict"


def find_bubblewrap_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that bubblewrap is not there, or makes no box though it is, by making one."""
    program = shutil.which("bwrap", path=around.daemon_path)
    if program is None:
        problem = "is not on the daemon's PATH, so that no box can be made for a tool"
        remedy = "sudo apt-get install bubblewrap, or dnf install bubblewrap"
        yield Finding("bwrap", "", problem, remedy, name="bubblewrap", is_note=True)
        return
    said = _try(program)
    if said is not None:
        remedy = "see what is found of user-namespaces and apparmor, in a container its seccomp"
        yield Finding(program, "", f"makes no box: {said}", remedy, name="bubblewrap", is_note=True)


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
    program = shutil.which("bwrap", path=around.daemon_path)
    if program is not None and _try(program) is None:
        return
    source = f"/usr/share/apparmor/extra-profiles/{_PROFILE}"
    remedy = (
        f"sudo apt-get install apparmor-profiles && sudo cp {source} /etc/apparmor.d/ && "
        f"sudo apparmor_parser -r /etc/apparmor.d/{_PROFILE}"
    )
    problem = "is 1: user namespaces have no rights but those that a profile of AppArmor grants"
    yield Finding(_RESTRICT, "", problem, remedy, name="apparmor", is_note=True)


def _try(program: str) -> str | None:
    """Make a box; what was said where it did not work."""
    status, said = ask((program, *_BOX), longest_s=_LONGEST_S)
    return None if status == 0 else said or f"status {status}"
