"""A host full of canaries, and agents whose commands run there in closed boxes."""

import os
import pwd
import secrets
from pathlib import Path
from typing import NamedTuple

from e2e.world.account import Account
from e2e.world.installation import Installation
from e2e.world.server import choose_port

_MODULE = '[command]\nbin = "{program}"\n[deny]\nargs = []\n[sandbox]\n{sandbox}'
_CLOSED = 'box = "closed"\n'
# As the built-in module of git has it.
_FORWARDED = """\
[env]
forward = ["GIT_*"]
strip = ["GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"]
"""
_MODULES = {
    "python3": ("/usr/bin/python3", _CLOSED),
    "sh": ("/bin/sh", _CLOSED),
    "git": ("/usr/bin/git", f"{_CLOSED}{_FORWARDED}"),
    "keeper": ("/usr/bin/python3", f'{_CLOSED}home = "kept"\n'),
    "keeper2": ("/usr/bin/python3", f'{_CLOSED}home = "kept"\n'),
    "inet": ("/usr/bin/python3", f'{_CLOSED}sockets = "inet"\n'),
    "unix": ("/usr/bin/python3", f'{_CLOSED}sockets = "unix"\n'),
    "relay": ("/usr/bin/python3", f'{_CLOSED}brokers = ["git"]\n'),
    # A server of the host, and whatever is below a name.
    "way": (
        "/usr/bin/python3",
        f'{_CLOSED}network = ["127.0.0.1:<open>", "*.example.com:443", "x.invalid:<open>"]\n',
    ),
    "home": ("/usr/bin/python3", 'box = "home"\n'),
    "none": ("/usr/bin/python3", 'box = "none"\n'),
}
# One that docker can read, with a word in what a box does not get of it.
_JSON = '{{"auths": {{}}, "HttpHeaders": {{"X": "{line}"}}}}\n'
# It asks about nothing that is tried, but there is a socket for the answers.
_PROFILE = """\
commands = []
[workspace]
mounts = {{ "{target}" = "{workspace}" }}
[docker]
images = ["docker.io/library/airlock-canary"]
[approve]
require = ["run none asked"]
"""

HOME_FILES = (
    *(".ssh/id_ed25519", ".ssh/config", ".aws/credentials", ".git-credentials", ".netrc"),
    *(".gitconfig", ".config/gh/hosts.yml", ".docker/config.json", ".kube/config", ".bash_history"),
    *(".gnupg/private-keys-v1.d/a.key", ".local/share/keyrings/login.keyring", ".npmrc", ".pypirc"),
)
"""Of the human, each with a word of its own."""

WORDS = (
    *("tcp", "unix socket", "abstract socket", "process", "shared memory", "keyring"),
    *("environment", "configuration", "log", "workspace of another", "agent's directory"),
    *("system", "beside", "profile of another"),
)


class By(NamedTuple):
    """What makes the boxes, "bubblewrap" or "landlock", and whose daemon it is."""

    maker: str
    user: str

    def __str__(self) -> str:
        """As in a report."""
        return f"{self.maker} of {self.user}"


WAYS = tuple(By(maker, user) for maker in ("bubblewrap", "landlock") for user in ("root", "user"))

BOX_USER = "nobody"
"""Who is in the boxes of a daemon that is root, and who the other daemon is."""


class BoxWorld(Installation):
    """The files of the daemon and of its human, below one folder, most of which anybody may read.

    `kept` is for what is made once for several attacks.

    So no right of a file stands between an attack and what it wants. `words` are canaries by what
    has them. `outside` may be written by all, and lies in no workspace.
    """

    def __init__(self, folder: Path, by: By) -> None:
        """Make everything in `folder`, for a daemon of `by`."""
        super().__init__(folder)
        self.by = by
        entry = pwd.getpwnam(BOX_USER)
        self.user = entry.pw_uid
        self.account = Account(
            name=by.user,
            uid=0 if by.user == "root" else entry.pw_uid,
            gid=0 if by.user == "root" else entry.pw_gid,
            groups=() if by.user == "root" else (entry.pw_gid,),
            home=folder / "human",
        )
        names = ("workspace", "other", "outside", "tmp")
        self.workspace, self.other, self.outside, self.temporary = (folder / name for name in names)
        self.kept = folder / "kept"
        for made in (self.account.home, *(folder / name for name in names)):
            made.mkdir()
        self.words = {name: secrets.token_hex(16) for name in (*WORDS, *HOME_FILES)}
        self._target = "/workspace" if by.maker == "bubblewrap" else str(self.workspace)
        self.names = {
            **{name: str(folder / name) for name in (*names, "config", "sockets", "agents")},
            "root": str(folder),
            "open": str(choose_port()),
            "home": str(self.account.home),
            "here": self._target,
            "log": str(self.log),
        }
        self._write_files()
        mode = "require-bubblewrap" if by.maker == "bubblewrap" else "landlock"
        user = BOX_USER if by.user == "root" else ""
        boxes = f'[sandbox]\nmode = "{mode}"\nuser = "{user}"\n# {self.words["configuration"]}\n'
        self.enable((*_MODULES, "docker"), more=boxes)
        for agent, workspace in (("my", self.workspace), ("other", self.other)):
            word = "agent's directory" if agent == "my" else "profile of another"
            target = self._target if agent == "my" else str(self.other)
            profile = _PROFILE.format(target=target, workspace=workspace)
            self.add_agent(
                agent,
                profile=f"{profile}# {self.words[word]}\n",
                modules={
                    name: self.fill(_MODULE.format(program=program, sandbox=sandbox))
                    for name, (program, sandbox) in _MODULES.items()
                },
            )
        self.open_up()

    def open_up(self) -> None:
        """Give all to the daemon's user, and let everybody read it but for the sockets."""
        self.account.own(self.folder)
        for above, folders, files in os.walk(self.folder):
            for name in folders:
                Path(above, name).chmod(0o755)
            for path in (Path(above, name) for name in files):
                if path.is_file():
                    path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        self.folder.chmod(0o755)
        self.sockets.chmod(0o700)
        for shared in (self.workspace, self.outside):
            shared.chmod(0o777)
        for shared in self.outside.iterdir():
            shared.chmod(0o777)
        own = self.outside / "own"
        os.chown(own, self.user, self.user)
        own.chmod(0o644)

    def environment(self, path: str) -> dict[str, str]:
        """Of the daemon, with a word in all that no tool may get."""
        word = self.words["environment"]
        return {
            "HOME": str(self.account.home),
            "PATH": path,
            "TMPDIR": str(self.temporary),
            "LANG": "C.UTF-8",
            "GITHUB_TOKEN": word,
            "AWS_SECRET_ACCESS_KEY": word,
            "https_proxy": f"http://me:{word}@127.0.0.1:9",
            "SSH_AUTH_SOCK": f"{self.outside}/host.sock",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.outside}/bus",
            "GIT_SSH_COMMAND": f"ssh -o SetEnv={word}",
            "DOCKER_CONFIG": str(self.account.home / ".docker"),
            "KUBECONFIG": str(self.account.home / ".kube/config"),
        }

    def fill(self, text: str) -> str:
        """Put what this world has for each `<name>`."""
        for name, value in self.names.items():
            text = text.replace(f"<{name}>", value)
        return text

    def _write_files(self) -> None:
        for name in HOME_FILES:
            file = self.account.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            line = f"token = {self.words[name]}"
            is_json = name.endswith(".json")
            file.write_text(_JSON.format(line=line) if is_json else f"[x]\n{line}\n")
        (self.account.home / "link").symlink_to("nowhere")
        (self.other / "file").write_text(self.words["workspace of another"])
        (self.outside / "file").write_text(self.words["beside"])
        (self.outside / "own").write_text("x" * 17)
        (self.outside / "program").write_text(f"#!/bin/sh\necho {self.words['system']}\n")
        (self.outside / "program").chmod(0o755)
        (self.config / "credential").write_text(self.words["configuration"])
        (self.log.parent / "secret").write_text(self.words["log"])
        (self.workspace / "file").write_text("mine\n")
