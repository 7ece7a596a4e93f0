"""All that `doctor` looks at, each with its name: what is found carries the same one."""

from collections.abc import Iterator

import msgspec

from airlock_daemon.doctor.apparmor import find_apparmor_faults
from airlock_daemon.doctor.boxes import find_bubblewrap_faults, find_forbidden_namespaces
from airlock_daemon.doctor.doors import find_doors
from airlock_daemon.doctor.engine import find_engine_faults, find_virtual_machine
from airlock_daemon.doctor.groups import find_unbounded_boxes
from airlock_daemon.doctor.labels import find_selinux_faults
from airlock_daemon.doctor.layout import find_earlier_layout
from airlock_daemon.doctor.place import find_container_faults
from airlock_daemon.doctor.running import find_daemon_faults, find_stale_files
from airlock_daemon.doctor.sockets import (
    find_full_disks,
    find_missing_certificates,
    find_socket_faults,
)
from airlock_daemon.doctor.ssh_agent import find_agent_faults
from airlock_daemon.doctor.starting import find_linger_faults, find_service_faults
from airlock_daemon.doctor.surroundings import Examination, Surroundings
from airlock_daemon.doctor.tools import find_missing_tools, find_other_tools
from airlock_daemon.setup.finding import Finding


class Part(msgspec.Struct, frozen=True):
    """A part of the world: the name of what is found there, what it is, and how it is looked at."""

    name: str
    what: str
    examine: Examination


PARTS = (
    Part("layout", "the files are of this release, and no earlier one", find_earlier_layout),
    Part("daemon", "a daemon serves this configuration, and answers", find_daemon_faults),
    Part("files", "it has read the files as they are now", find_stale_files),
    Part("service", "a service manager starts the daemon", find_service_faults),
    Part("linger", "it does so without a session of the user", find_linger_faults),
    Part("sockets", "the sockets directory is as the daemon needs it", find_socket_faults),
    Part(
        "certificates",
        "containers have what makes them trust the HTTPS broker",
        find_missing_certificates,
    ),
    Part("disk", "there is room where the daemon writes", find_full_disks),
    Part("tools", "the programs of enabled commands are on the daemon's PATH", find_missing_tools),
    Part("shell-path", "the caller's shell would run the same programs", find_other_tools),
    Part("ssh-agent", "the daemon's ssh-agent answers, and has keys", find_agent_faults),
    Part("engine", "the container engine answers", find_engine_faults),
    Part("doors", "no container of an agent has a way out beside Airlock's", find_doors),
    Part("docker-desktop", "containers run on this kernel", find_virtual_machine),
    Part("selinux", "containers may connect to sockets of the host", find_selinux_faults),
    Part("bubblewrap", "a box can be made for a tool", find_bubblewrap_faults),
    Part("container", "its engine lets a box be made in it", find_container_faults),
    Part("user-namespaces", "the kernel lets users have namespaces", find_forbidden_namespaces),
    Part("apparmor", "AppArmor lets a box have them too", find_apparmor_faults),
    Part("cgroups", "the boxes of an agent together are bounded", find_unbounded_boxes),
)


def examine(around: Surroundings) -> Iterator[Finding]:
    """Look at every part, and tell what is found."""
    for part in PARTS:
        yield from part.examine(around)
