"""What confines a host so that it makes no boxes, and the texts by which it is told to let it."""

from importlib.resources import files

SECCOMP = "airlock-seccomp.json"
"""What the profile of `write_seccomp` is called in what people are told."""

APPARMOR = "/etc/apparmor.d/airlock-launch"
"""Where the profile of `write_apparmor` belongs."""


def write_seccomp() -> str:
    """A seccomp profile for a daemon's container: the system calls of a box, and of making one.

    In the form of the OCI's runtime specification, which Docker, Podman and Kubernetes read.
    """
    return files("airlock_daemon").joinpath("doctor/seccomp.json").read_text(encoding="utf-8")


def write_apparmor() -> str:
    """A profile of AppArmor (apparmor.d(5), 4.0 or newer) that lets the launcher make boxes.

    It confines nothing. All that the launcher starts inherits it, bubblewrap too, whatever other
    profile there is for that: one that takes capabilities from what is in a box leaves it
    unfinished. Raises Failed without a launcher.
    """
    # What this stands on cannot be imported on other systems.
    from airlock_daemon.command.launcher import find_launcher  # noqa: PLC0415

    flags = "flags=(attach_disconnected,mediate_deleted)"
    return (
        "abi <abi/4.0>,\n"
        "include <tunables/global>\n"
        f'profile airlock-launch "{find_launcher()}" {flags} {{\n'
        "  allow all,\n"
        "}\n"
    )
