"""The running daemon: whether there is one, and whether it serves what the files say now."""

import os
from collections.abc import Iterator

from airlock_daemon.doctor.alive import find_silence, is_locked
from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.notice import NAME
from airlock_daemon.setup.trust import list_deciding

_AGAIN = "airlock-daemon reload"


def find_daemon_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that no daemon serves this configuration, or that it does not answer."""
    directory = around.locations.sockets_dir
    silence = find_silence(directory)
    if silence is not None:
        remedy = "airlock-daemon init, or keep running: airlock-daemon start --agents FILE"
        if is_locked(directory):
            remedy = "look at its messages: journalctl --user -u airlock; and restart it"
        yield Finding(directory, "", silence, remedy, name="daemon")
    elif around.notice is None:
        problem = "is served by a daemon of another configuration, another user or another release"
        remedy = "name that configuration by --config, or stop that daemon"
        yield Finding(directory, "", problem, remedy, name="daemon")


def find_stale_files(around: Surroundings) -> Iterator[Finding]:
    """Tell faults in the files, a failed reload, and files that have changed since then."""
    if around.setup is None:
        problem = "the files have faults, so that the daemon would not start with them"
        config = around.locations.config_file
        yield Finding(config, "", problem, "airlock-daemon check", name="files")
    if around.notice is None:
        return
    reload = around.notice.reload
    if reload is not None and reload.faults:
        problem = f"the last reload failed, so that what was read before counts: {reload.faults[0]}"
        remedy = f"airlock-daemon check, then: {_AGAIN}"
        yield Finding(around.locations.config_dir, "", problem, remedy, name="files")
    try:
        read_at = os.stat(os.path.join(around.locations.sockets_dir, NAME)).st_mtime_ns
    except FileNotFoundError:
        # The daemon has ended meanwhile.
        return
    for path in _list_files(around):
        try:
            changed_at = os.lstat(path).st_ctime_ns
        except OSError:
            continue
        if changed_at > read_at:
            problem = "has changed since the running daemon last read its files"
            yield Finding(path, "", problem, _AGAIN, name="files")


def _list_files(around: Surroundings) -> Iterator[str]:
    """Everything that decides; of an agent that cannot be read, what the files say of others."""
    setup = around.setup
    agents = () if setup is None else setup.agents
    yield from list_deciding(
        (around.locations.config_file, around.locations.agents),
        around.locations.modules_dir,
        [agent.directory for agent in agents],
    )
