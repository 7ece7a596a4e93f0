"""What starts the daemon, and keeps it running when nobody is logged in."""

from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.service.installing import find_manager
from airlock_daemon.service.systemd import LINGER, NAME, Systemd, enable_linger, is_lingering
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.writing import read_whole


def find_service_faults(_around: Surroundings) -> Iterator[Finding]:
    """Tell that nothing starts the daemon, or that its service has failed."""
    manager = find_manager()
    obstacle = manager.find_obstacle()
    if obstacle is not None:
        remedy = obstacle.remedy or "keep running: airlock-daemon start --agents FILE"
        problem = f"is not there: {obstacle.reason}"
        yield Finding("the service manager", "", problem, remedy, name="service", is_note=True)
    elif read_whole(manager.file) is None:
        problem = "is not installed: nothing starts the daemon again"
        yield Finding(
            manager.file, "", problem, "airlock-daemon init", name="service", is_note=True
        )
    elif not manager.is_running():
        problem = "is installed, and does not run"
        remedy = "airlock-daemon check, then: airlock-daemon init"
        if isinstance(manager, Systemd):
            remedy = f"systemctl --user status {NAME}, and {remedy}"
        yield Finding(manager.file, "", problem, remedy, name="service")


def find_linger_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that a service that is installed ends with the user's last session."""
    manager = find_manager()
    if not isinstance(manager, Systemd) or read_whole(manager.file) is None:
        return
    if not is_lingering(around.below(LINGER)):
        problem = "ends when you log out, and starts when you log in and not at boot"
        yield Finding(manager.file, "", problem, enable_linger(), name="linger")
