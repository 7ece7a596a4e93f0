"""The demo's steps, and the check of each."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

from demo.client import Answer, Client, push_directly
from demo.errors import NotSoError
from demo.git_server import GitServer
from demo.host import read_audit, show_audit
from demo.places import Places
from demo.screen import Screen
from demo.trap import set_trap


@dataclass(frozen=True)
class Story:
    """One run; each step raises NotSoError if its claim was not so."""

    screen: Screen
    places: Places
    server: GitServer
    client: Client
    commit: str
    user: str
    password: str
    program: Path
    """airlock-daemon, as the host runs it."""
    heard: list[str] = field(default_factory=list)
    """All output of the client's commands."""

    def tell(self) -> None:
        """Run all steps, stopping at the first failure."""
        self._push_directly()
        self._push_through_airlock()
        self._push_elsewhere()
        self._run_a_poisoned_hook()
        self._read_the_log()
        self._look_for_the_password()

    def _push_directly(self) -> None:
        self.screen.step("The client pushes directly, with plain git and its own empty HOME.")
        answer = push_directly(self.places)
        self._show("git push origin main", answer)
        is_refused = answer.status != 0 and "could not read Username" in answer.output
        if not is_refused or self.server.read_branch("main") is not None:
            raise NotSoError("the server should have refused a push without a password")
        self.screen.passed("refused. The server asks for a password, and the client has none.")

    def _push_through_airlock(self) -> None:
        self.screen.step(
            "The same git pushes with the shim as its way to remotes; the daemon has the password."
        )
        answer = self.client.git("push", "origin", "main:agent/demo")
        self._show("git push origin main:agent/demo", answer)
        arrived = self.server.read_branch("agent/demo")
        self.screen.row(f"commit of the client  {self.commit}")
        self.screen.row(f"commit at the server  {arrived or '(none)'}")
        if answer.status != 0 or arrived != self.commit:
            raise NotSoError(
                f"the push should have reached the server (exit status {answer.status})"
            )
        self.screen.passed("accepted, and the server has the client's commit.")

    def _push_elsewhere(self) -> None:
        self.screen.step("The client pushes to main, which it was not granted.")
        answer = self.client.git("push", "origin", "main")
        self._show("git push origin main", answer)
        if answer.status == 0 or "(airlock: " not in answer.output:
            raise NotSoError(f"policy should have refused that (exit status {answer.status})")
        if self.server.read_branch("main") is not None:
            raise NotSoError("the server should have no branch main")
        self.screen.passed("refused in git's own words, before the server had a byte of it.")

    def _run_a_poisoned_hook(self) -> None:
        self.screen.step(
            "The repository is poisoned: its hook wants the password. The host's own git runs it."
        )
        trap = set_trap(self.places)
        if self.password not in trap.spring_on_host():
            raise NotSoError("the hook should find the password where nothing confines it")
        answer = self.client.host_git(
            "commit", "--quiet", "--allow-empty", "--message=Let the hook look"
        )
        self._show("git commit    # the shim: git of the host, in a closed box", answer)
        if "there is no box for this command" in answer.output:
            self.screen.passed("not run at all: there is no box for it here, as the daemon says.")
            return
        loot = trap.read_loot()
        if answer.status != 0 or loot is None:
            raise NotSoError(f"git should have run the hook (exit status {answer.status})")
        if self.password in answer.output + loot:
            raise NotSoError("the hook should not have found the password")
        self.screen.passed("the hook ran, and got nothing: in the box the file does not exist.")

    def _read_the_log(self) -> None:
        self.screen.step("What the audit log on the host says of the client's requests:")
        shown = show_audit(self.places, program=self.program)
        self.screen.command("airlock-daemon log tail --command git-remote", shown)
        records = read_audit(self.places)
        found = [(each["detail"]["service"], each["outcome"]) for each in records]
        if found != [("git-receive-pack", "allowed"), ("git-receive-pack", "denied")]:
            raise NotSoError(
                "the log should hold these two pushes, the first allowed and the second denied"
            )
        self.screen.passed(
            "both pushes are there, in order, with what they moved and how they ended."
        )

    def _look_for_the_password(self) -> None:
        self.screen.step("Is the password in the client's files, or in anything that it was told?")
        header = base64.b64encode(f"{self.user}:{self.password}".encode())
        seen = "".join(self.heard).encode()
        files = [
            path
            for folder in (self.places.client_home, self.places.workspace)
            for path in _list_files(folder)
        ]
        for content in (seen, *(path.read_bytes() for path in files)):
            if self.password.encode() in content or header in content:
                raise NotSoError("the client's side should not hold the password")
        self.screen.passed(f"not in {len(files)} files and {len(seen)} bytes of output.")

    def _show(self, words: str, answer: Answer) -> None:
        self.heard.append(answer.output)
        self.screen.command(words, answer.output)


def _list_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
