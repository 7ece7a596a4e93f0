"""A launch agent of macOS (launchd.plist(5))."""

import os
import plistlib

from airlock_daemon.admin.service.manager import Obstacle, Program, ask, demand, seal
from airlock_daemon.platform.darwin.ssh_agent import is_of_launchd

LABEL = "airlock.daemon"


class Launchd:
    """launchd's domain of the user with this home and the uid `user`."""

    inspection = ""

    def __init__(self, *, home: str, user: int, version: str) -> None:
        self.file = os.path.join(home, "Library", "LaunchAgents", f"{LABEL}.plist")
        self.advice = f"a copy of it under another name and Label, in {os.path.dirname(self.file)}"
        self._log = os.path.join(home, "Library", "Logs", "airlock-daemon.log")
        self._domain = f"gui/{user}"
        self._version = version

    def write(self, program: Program) -> str:
        """The property list. launchd restarts it after a crash, but not after an exit status.

        It runs in the session at the screen, which alone opens the keychain, and omits the socket
        of that session's ssh-agent, which is another one after the next login.
        """
        described = {
            "Label": LABEL,
            "ProgramArguments": list(program.argv),
            "EnvironmentVariables": {
                name: value
                for name, value in program.environment.items()
                if not (name == "SSH_AUTH_SOCK" and is_of_launchd(value))
            },
            "RunAtLoad": True,
            "KeepAlive": {"Crashed": True},
            "LimitLoadToSessionType": "Aqua",
            "StandardOutPath": self._log,
            "StandardErrorPath": self._log,
        }
        text = plistlib.dumps(described, sort_keys=False).decode()
        made = f"<!-- Made by airlock-daemon init of version {self._version} -->\n"
        return seal(text + made, opening="<!--", closing="-->")

    def find_obstacle(self) -> Obstacle | None:
        """Return why launchd cannot be used, None if it can."""
        status, said = ask(("launchctl", "print", self._domain))
        if status == 0:
            return None
        reason = f"launchd has no session of this user ({said})"
        return Obstacle(reason, "log in as this user at the screen")

    def prepare(self) -> None:
        """Do nothing: launchd loads a property list in that directory at login."""

    def is_running(self) -> bool:
        """Whether launchd runs a process of it."""
        status, said = ask(("launchctl", "print", f"{self._domain}/{LABEL}"))
        return status == 0 and "state = running" in said

    def start(self) -> None:
        """Load it, which starts it, or start it if loaded."""
        if self._is_loaded():
            self._demand("kickstart", f"{self._domain}/{LABEL}")
        else:
            self._load()

    def restart(self) -> None:
        """Stop it, and load the present property list."""
        self.remove()
        self._load()

    def remove(self) -> None:
        """Unload it, which stops it."""
        if self._is_loaded():
            self._demand("bootout", f"{self._domain}/{LABEL}")

    def settle(self) -> None:
        """Do nothing: launchd has forgotten it already."""

    def find_session_limit(self, root: str = "/") -> None:
        """Return None: a launch agent always starts and ends with the session."""

    def names(self, text: str, word: str) -> bool:
        """Whether `word` is an argument of the daemon in the property list `text`."""
        return word in plistlib.loads(text.encode())["ProgramArguments"]

    def _is_loaded(self) -> bool:
        return ask(("launchctl", "print", f"{self._domain}/{LABEL}"))[0] == 0

    def _load(self) -> None:
        self._demand("bootstrap", self._domain, self.file)

    def _demand(self, *words: str) -> None:
        demand(("launchctl", *words), hint=f"what it says of itself: {self._log}")
