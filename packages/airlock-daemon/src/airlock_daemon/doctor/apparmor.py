"""AppArmor, which can forbid user namespaces, or leave a box without what finishes it."""

from collections.abc import Iterator

from airlock_daemon.doctor.boxes import make_box
from airlock_daemon.doctor.confinement import APPARMOR
from airlock_daemon.doctor.place import find_engine
from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.finding import Finding

_ENABLED = "/sys/module/apparmor/parameters/enabled"
_RESTRICT = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_PROFILES = "/etc/apparmor.d"

_REMEDY = (
    f"airlock-daemon doctor --apparmor | sudo tee {APPARMOR} && sudo apparmor_parser -r {APPARMOR}"
)


def find_apparmor_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that AppArmor may be what keeps boxes from being made, as Ubuntu has it do since 23.10.

    Which profile a program has, and what it forbids, only root can read; in a container that is
    the engine's to say.
    """
    is_restricted = around.read(_RESTRICT) == "1"
    is_host = around.read(_ENABLED) == "Y" and find_engine(around) is None
    if not (is_restricted or is_host) or make_box(around) is None:
        return
    if is_restricted:
        source = _RESTRICT
        problem = "is 1: user namespaces have no rights but those that a profile of AppArmor grants"
    else:
        source = _PROFILES
        problem = (
            "may have a profile that forbids user namespaces to bubblewrap, or capabilities to "
            "what is in a box, as bwrap-userns-restrict does"
        )
    yield Finding(source, "", problem, _REMEDY, name="apparmor", is_note=True)
