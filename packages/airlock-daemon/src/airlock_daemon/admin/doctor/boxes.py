"""Checks whether boxes can be made on this host, and which limits they have."""

import functools
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.resources import files

from airlock_daemon.admin.doctor.surroundings import Note, Problem, Surroundings
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.generation import BoxConfig
from airlock_daemon.setup.status import DaemonStatus

_SETTINGS = {
    "/proc/sys/kernel/unprivileged_userns_clone": "kernel.unprivileged_userns_clone=1",
    "/proc/sys/user/max_user_namespaces": "user.max_user_namespaces=10000",
}
"""Kernel settings that can forbid unprivileged user namespaces, and values that allow them."""

_APPARMOR_ENABLED = "/sys/module/apparmor/parameters/enabled"
_APPARMOR_RESTRICTS = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_APPARMOR_PROFILES = "/etc/apparmor.d"
_APPARMOR = f"{_APPARMOR_PROFILES}/airlock-launch"
"""The path for the profile of `write_apparmor`."""

_SECCOMP = "airlock-seccomp.json"
"""The name of the profile of `write_seccomp` in messages."""
_PRINT = f"docker run --rm IMAGE doctor --seccomp >{_SECCOMP}"
_ENGINE_OPTIONS = {
    "Kubernetes": (
        f"{_PRINT}, copied to /var/lib/kubelet/seccomp of each node; then for the pod hostUsers: "
        "false, and for the daemon's container securityContext: {seccompProfile: {type: Localhost, "
        f"localhostProfile: {_SECCOMP}}}, procMount: Unmasked}}"
    ),
    "Podman": (
        f"{_PRINT.replace('docker', 'podman')}; then podman run --security-opt seccomp={_SECCOMP} "
        "--security-opt unmask=ALL"
    ),
    "Docker": (
        f"{_PRINT}; then docker run --security-opt seccomp={_SECCOMP} --security-opt "
        f'systempaths=unconfined, or in Compose security_opt: ["seccomp:{_SECCOMP}", '
        '"systempaths=unconfined"]'
    ),
}
"""How to let each engine allow boxes."""
_UNCONFINED = {
    "Kubernetes": "; and appArmorProfile: {type: Unconfined} beside these",
    "Podman": "; and --security-opt apparmor=unconfined",
    "Docker": "; and --security-opt apparmor=unconfined, in Compose apparmor:unconfined",
}
"""In addition, if AppArmor confines the container."""

_DELEGATE = "[Service] Delegate=cpu memory pids"
_BOUND_CONTAINER = "in a container bound that: docker run --memory --pids-limit"


def check_bubblewrap(around: Surroundings) -> Iterator[Problem]:
    """Bubblewrap is missing, or fails to make a test box.

    Reports nothing on macOS, which has no boxes. More than a note if a
    module wants a box.
    """
    if sys.platform != "linux":
        return
    # A command that uses APIs may be run by the image's own tool, without a box.
    is_note = not any(each.wants_box and not each.uses_apis for each in around.list_modules())
    program = shutil.which(BoxConfig.BUBBLEWRAP, path=around.daemon_path)
    if program is None:
        problem = "is not on the daemon's PATH, so that no box can be made"
        remedy = "sudo apt-get install bubblewrap, or dnf install bubblewrap"
        yield Problem(BoxConfig.BUBBLEWRAP, problem, remedy, is_note)
    elif (obstacle := make_box(around)) is not None:
        why = BoxConfig.explain_no_fence() or "[sandbox] mode says so"
        instead = f"and nothing is in its place: {why}"
        if name_box(around) == "landlock":
            instead = "Landlock makes them in its place"
        remedy = "see what is found of container, user-namespaces and apparmor"
        yield Problem(program, f"makes no box: {obstacle} ({instead})", remedy, is_note)


def check_container(around: Surroundings) -> Iterator[Problem]:
    """The engine of the daemon's container does not allow boxes in it."""
    engine = _find_engine(around)
    if engine is not None and make_box(around) is not None:
        remedy = _ENGINE_OPTIONS[engine]
        label = around.read("/proc/self/attr/current") or "unconfined"
        if not label.startswith("unconfined"):
            remedy += _UNCONFINED[engine]
        yield Note(engine, "keeps bubblewrap from making a box, by its defaults", remedy)


def check_user_namespaces(around: Surroundings) -> Iterator[Problem]:
    """A kernel setting forbids unprivileged user namespaces."""
    for path, setting in _SETTINGS.items():
        if around.read(path) == "0":
            remedy = f"sudo sysctl -w {setting}, and write that to /etc/sysctl.d/airlock.conf"
            yield Note(
                path, "is 0, which forbids the user namespaces that a box is made of", remedy
            )


def check_apparmor(around: Surroundings) -> Iterator[Problem]:
    """AppArmor may prevent boxes, as on Ubuntu since 23.10.

    Only root can read which profile a program has, and what it forbids; in a container, that
    depends on the engine.
    """
    is_restricted = around.read(_APPARMOR_RESTRICTS) == "1"
    is_host = around.read(_APPARMOR_ENABLED) == "Y" and _find_engine(around) is None
    if not (is_restricted or is_host) or make_box(around) is None:
        return
    if is_restricted:
        source = _APPARMOR_RESTRICTS
        problem = "is 1: user namespaces have no rights but those that a profile of AppArmor grants"
    else:
        source = _APPARMOR_PROFILES
        problem = (
            "may have a profile that forbids user namespaces to bubblewrap, or capabilities to "
            "what is in a box, as bwrap-userns-restrict does"
        )
    load = f"sudo tee {_APPARMOR} && sudo apparmor_parser -r {_APPARMOR}"
    yield Note(source, problem, f"airlock doctor --apparmor | {load}")


def check_cgroups(around: Surroundings) -> Iterator[Problem]:
    """The running daemon could not divide its cgroup, or not with all controllers."""
    if sys.platform != "linux" or not any(each.wants_box for each in around.list_modules()):
        return
    posted = DaemonStatus.find_published(around.locations.sockets_dir)
    try:
        found = None if posted is None else _find_unbounded(posted.pid)
    except OSError:
        # The daemon has ended meanwhile.
        return
    if found is not None:
        source, problem, remedy = found
        yield Note(source, f"{problem}: limits apply per command, not per agent", remedy)


def _find_unbounded(pid: int) -> tuple[str, str, str] | None:
    """Place, problem and remedy if the boxes of daemon `pid` have no common limits."""
    # This cannot be imported on other systems.
    from airlock_daemon.boundary.command import Groups  # noqa: PLC0415

    group = Groups.locate(pid)
    if group is None:
        remedy = f"boot with systemd.unified_cgroup_hierarchy=1, or {_BOUND_CONTAINER}"
        return "cgroups", "are not of version 2 for the daemon", remedy
    if group.name != Groups.DAEMON:
        remedy = (
            f"run as the service of airlock init; for another one of systemd: {_DELEGATE} "
            f"and Environment=AIRLOCK_DELEGATED=1; {_BOUND_CONTAINER}"
        )
        return group.directory, "is not delegated to the daemon", remedy
    bounded = group.above.read("cgroup.subtree_control")
    missing = [name for name in Groups.CONTROLLERS if name not in bounded]
    if missing:
        remedy = f"sudo systemctl edit user@.service: {_DELEGATE}; and log in again"
        return group.directory, f"cannot bound {' and '.join(missing)}", remedy
    return None


def name_box(around: Surroundings) -> str:
    """What would make the boxes of a daemon started now, in the words of records."""
    if sys.platform != "linux":
        return "none"
    mode = "auto" if around.setup is None else around.setup.config.boxes.mode
    if mode == "off":
        return "off"
    if mode != "landlock" and make_box(around) is None:
        return "bubblewrap"
    return "none" if mode == "require-bubblewrap" or BoxConfig.explain_no_fence() else "landlock"


def make_box(around: Surroundings) -> str | None:
    """Make a box with bubblewrap; returns why that failed, None if it worked."""
    program = shutil.which(BoxConfig.BUBBLEWRAP, path=around.daemon_path)
    if program is None or sys.platform != "linux":
        return "there is no bubblewrap"
    config = BoxConfig() if around.setup is None else around.setup.config.boxes
    status = os.stat(program)
    return _try(program, config, (status.st_dev, status.st_ino, status.st_mtime_ns))


@functools.cache
def _try(program: str, config: BoxConfig, version: tuple[int, ...]) -> str | None:
    """As `make_box`, once for each `version` of the program's file."""
    del version
    # These cannot be imported on other systems.
    import trio  # noqa: PLC0415

    from airlock_daemon.boundary.box import find_identity, probe_box  # noqa: PLC0415
    from airlock_daemon.boundary.command import Identity, open_launcher  # noqa: PLC0415

    async def make(identity: Identity) -> str | None:
        launcher = open_launcher(nofile=256)
        try:
            return await probe_box(program, identity, launcher)
        finally:
            launcher.close()

    try:
        return trio.run(make, find_identity(config))
    except AirlockError as error:
        return f"{error.message}; {error.hint}"


def _find_engine(around: Surroundings) -> str | None:
    """The engine of the daemon's container, None without a known one."""
    if "KUBERNETES_SERVICE_HOST" in around.environment:
        return "Kubernetes"
    if around.read("/run/.containerenv") is not None:
        return "Podman"
    return None if around.read("/.dockerenv") is None else "Docker"


def write_seccomp() -> str:
    """The seccomp profile for a daemon's container: system calls to make a box and in it.

    In the format of OCI's runtime specification, which Docker, Podman and Kubernetes read.
    """
    return files("airlock_daemon").joinpath("admin/doctor/seccomp.json").read_text(encoding="utf-8")


def write_apparmor() -> str:
    """An AppArmor profile (apparmor.d(5), 4.0 or newer) that lets the launcher make boxes.

    It confines nothing. All that the launcher starts inherits it, also bubblewrap, in place of a
    profile of its own: one that takes capabilities from a box's processes keeps the box from being
    finished. Raises Failed without a launcher.
    """
    # This cannot be imported on other systems.
    from airlock_daemon.boundary.command import find_launcher  # noqa: PLC0415

    flags = "flags=(attach_disconnected,mediate_deleted)"
    return (
        "abi <abi/4.0>,\n"
        "include <tunables/global>\n"
        f'profile airlock-launch "{find_launcher()}" {flags} {{\n'
        "  allow all,\n"
        "}\n"
    )
