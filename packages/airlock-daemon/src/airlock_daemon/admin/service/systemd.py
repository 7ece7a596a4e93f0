"""A service of systemd's manager of the user (systemd.service(5))."""

import os
import pwd
from collections.abc import Mapping, Sequence

from airlock_daemon.admin.service import UNIT
from airlock_daemon.admin.service.manager import Obstacle, Program, ask, demand, seal

_NAME = "airlock.service"

_LINGER = "var/lib/systemd/linger"
"""Below the root: has a file for each user whose services run without a session (loginctl(1))."""

SOCKETS = 1024
"""The listening sockets that are stored across restarts, at most."""

_UNIT = """\
# Made by `airlock-daemon init` of version {version}, which replaces this file as long as nobody has
# edited it. What you add by `systemctl --user edit airlock` is a file of its own, and stays.

[Unit]
Description=Airlock daemon: runs tools with credentials for containers that hold none

[Service]
Type=notify
ExecStart={start}
ExecReload={reload}
{environment}
# 1 is a fault in the files, which a person has to mend.
Restart=on-failure
RestartPreventExitStatus=1

# The listening sockets stay open while the daemon is restarted, so that containers which have one
# mounted as a file stay connected. systemd before 254 does not set FDSTORE itself.
FileDescriptorStoreMax={sockets}
Environment=FDSTORE={sockets}

# The daemon alone is told to stop: it gives running commands their time, [daemon] shutdown_grace_s.
# What is left when it has ended, or was killed, is killed.
KillMode=mixed

# What the boxes of an agent have of memory, processes and processors the daemon divides by cgroups.
# systemd before 254 does not know the second line, and says so; it works all the same.
Delegate=cpu memory pids
DelegateSubgroup=daemon
Environment=AIRLOCK_DELEGATED=1

# A command that takes all memory ends by itself, and not with the daemon.
OOMPolicy=continue

[Install]
WantedBy=default.target
"""


class Systemd:
    """systemd's manager of the user with this home, for the caller's environment."""

    advice = "systemctl --user edit airlock"
    inspection = f"systemctl --user status {_NAME}"

    def __init__(self, *, home: str, environment: Mapping[str, str], version: str) -> None:
        self.file = os.path.join(home, UNIT)
        self._version = version
        self._words = _reach(environment)

    def write(self, program: Program) -> str:
        """The unit (systemd.syntax(7)), with %, $, quotes and backslashes escaped."""
        variables = (f"{name}={value}" for name, value in program.environment.items())
        unit = _UNIT.format(
            version=self._version,
            start=_join(program.argv),
            reload=_join(program.reload),
            environment="\n".join(f"Environment={_quote(each)}" for each in variables),
            sockets=SOCKETS,
        )
        return seal(unit, opening="#")

    def find_obstacle(self) -> Obstacle | None:
        """Return why systemd's user manager cannot be used, None if it can."""
        # As in sd_booted(3).
        if not os.path.isdir("/run/systemd/system"):
            return Obstacle("this system was not started by systemd")
        status, said = ask((*self._words, "show-environment"))
        if status == 0:
            return None
        return Obstacle(
            f"systemd's manager of this user does not answer ({said})",
            f"log in as {_user()} (by ssh or at the console, not by su), or have the manager run "
            f"always: sudo {_enable_linger()}",
        )

    def prepare(self) -> None:
        """Load the unit, and enable it."""
        self._demand("daemon-reload")
        self._demand("enable", _NAME)

    def is_running(self) -> bool:
        """Whether the service is active or starting."""
        return ask((*self._words, "is-active", _NAME))[1] in ("active", "activating", "reloading")

    def start(self) -> None:
        """Start it; with Type=notify, systemctl waits until the daemon serves."""
        self._demand("start", _NAME)

    def restart(self) -> None:
        """Restart it; its sockets are stored meanwhile."""
        self._demand("restart", _NAME)

    def remove(self) -> None:
        """Stop it, and remove the symlink that starts it."""
        self._demand("disable", "--now", _NAME)

    def settle(self) -> None:
        """Forget the unit, and its failed state."""
        self._demand("daemon-reload")
        ask((*self._words, "reset-failed", _NAME))

    def find_session_limit(self, root: str = "/") -> Obstacle | None:
        """As `Manager.find_session_limit`: linger is off."""
        if os.path.exists(os.path.join(root, _LINGER, _user())):
            return None
        reason = "ends when you log out, and starts when you log in and not at boot"
        return Obstacle(reason, _enable_linger())

    def names(self, text: str, word: str) -> bool:
        """Whether `word` is an argument of the daemon in the unit `text`."""
        return f" {_quote_argument(word)}" in text

    def _demand(self, *words: str) -> None:
        hint = "what it says of itself: journalctl --user -n 20 -u airlock"
        demand((*self._words, *words), hint=hint)


def _enable_linger() -> str:
    """The command that enables lingering. polkit lets most users run it for themselves."""
    return f"loginctl enable-linger {_user()}"


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _reach(environment: Mapping[str, str]) -> tuple[str, ...]:
    """systemctl with the manager's address, which `sudo -u` and `su` do not set."""
    runtime = f"/run/user/{os.geteuid()}"
    if "XDG_RUNTIME_DIR" in environment or not os.path.isdir(runtime):
        return ("systemctl", "--user")
    return ("env", f"XDG_RUNTIME_DIR={runtime}", "systemctl", "--user")


def _join(argv: Sequence[str]) -> str:
    """A command line; only arguments may contain variables, so only they escape `$`."""
    return " ".join((_quote(argv[0]), *map(_quote_argument, argv[1:])))


def _quote_argument(text: str) -> str:
    return _quote(text.replace("$", "$$"))


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
