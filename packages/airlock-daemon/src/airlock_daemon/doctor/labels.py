"""SELinux, which lets a container connect to no socket of the host unless it is told to."""

from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.finding import Finding

_ENFORCE = "/sys/fs/selinux/enforce"


def find_selinux_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that SELinux is enforced."""
    if around.read(_ENFORCE) == "1":
        problem = "is 1: containers are refused the agent's socket, and unlabelled directories"
        remedy = "docker run --security-opt label=disable, for containers of agents"
        yield Finding(_ENFORCE, "", problem, remedy, name="selinux", is_note=True)
