"""A host with credentials, a real sshd with repositories, and agents that may reach some."""

import os
import pwd
import secrets
import shutil
import subprocess
from pathlib import Path

from e2e.canary import forge
from e2e.canary.answers import list_answers
from e2e.canary.between import LIES
from e2e.canary.human_git import write_git
from e2e.canary.web import Sites
from e2e.world.airlock import ANY_REF
from e2e.world.installation import Installation

SERVER = """\
Port {forge_port}
ListenAddress ::1
AcceptEnv *
ForceCommand case "$LC_ALL$GIT_PROTOCOL" in *evil*) : >{proof}/environment;; esac; \
cd {account} && exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""
"""The account's home is a folder of ours, and what reaches its environment leaves a trace."""

# A careless human: each connection runs a command here, and any host has the server's key.
_CLIENT = """\
Host forge gitolite
    HostName 127.0.0.1
Host gitolite
    Port {forge_port}
Host proxied
    ProxyCommand : {word}
# By its address it would be a host of no network around here.
Host within.proxied.test
    HostName 1.1.1.1
    HostKeyAlias within.proxied.test
    ProxyCommand ssh -F {human}/config -W 127.0.0.1:{port} forge
Host *
    Port {port}
    User {user}
    IdentityFile {server}/client-key
    IdentitiesOnly yes
    UserKnownHostsFile {human}/known_hosts
    GlobalKnownHostsFile none
    PermitLocalCommand yes
    LocalCommand : >{proof}/local-command
    SendEnv LC_*
"""
_PROFILE = """\
commands = ["git-remote"]
[env]
set = {{ GIT_SSH_COMMAND = "ssh -F {human}/config" }}
{grant}
"""
GRANTS = {
    "pinned": f'[git]\npush = ["forge{{open}}/*"]\n{ANY_REF}protect = ["refs/heads/main"]\n',
    "deep": f'[git]\npush = ["forge{{open}}/**"]\n{ANY_REF}',
    "narrow": """\
[git]
push = ["forge{open}/*", "forge{open}/*-*-*-*-*-*"]
refs = ["refs/heads/agent/*"]
""",
    "reader": '[git]\nfetch = ["forge{open}/*"]\n',
    "acme": f'[git]\npush = ["gitolite/acme/app"]\n{ANY_REF}protect = ["refs/heads/main"]\n',
    "turning": f'[git]\npush = ["forge{{open}}/*"]\n{ANY_REF}protect = ["refs/heads/main"]\n',
    "wide": f'[git]\npush = ["*/**"]\n{ANY_REF}',
    "unpinned": f"[git]\n{ANY_REF}",
    "web": f'[git]\npush = ["https://127.0.0.1:{{web}}/open/*"]\n{ANY_REF}'
    'protect = ["refs/heads/main"]\n',
    "web-deep": f'[git]\npush = ["https://127.0.0.1:{{web}}/open/**"]\n{ANY_REF}',
    "web-narrow": """\
[git]
push = ["https://127.0.0.1:{web}/open/*"]
refs = ["refs/heads/agent/*"]
""",
    "web-reader": '[git]\nfetch = ["https://127.0.0.1:{web}/open/*"]\n',
    "web-wide": f'[git]\npush = ["https://*:{{web}}/**"]\n{ANY_REF}',
    "web-odd": """\
[git]
fetch = [
    "https://127.0.0.1:{web}/odd/*",
    "https://127.0.0.1:{web}/open/odd/*",
    "https://localhost:{web}/open/*",
    "https://127.0.0.1:{impostor}/**",
    "http://127.0.0.1:{plain}/ask/*",
]
""",
    "web-between": "[git]\nfetch = [\n"
    + "".join(f'"https://{name}.proxied.test:{{web}}/**",\n' for name in LIES)
    + "]\n",
}
"""What the profile of each agent says of git."""

_SESSION = """\
commands = ["ssh"]
{grant}
"""
# As the built-in module: the broker alone refuses.
_SSH = """\
[command]
broker = "ssh"
[deny]
args = []
[args]
prepend = ["-F", "{human}/config"]
"""
_HOSTS = {
    "session": '[ssh]\nhosts = ["forge", "proxied"]\n',
    "session-wide": '[ssh]\nhosts = ["*"]\n',
    "session-free": "",
}
_SIGNING = """\
commands = ["git-sign"]
[sign]
emails = ["*@acme.example"]
key = "{server}/client-key"
tags = {tags}
"""
_SIGNERS = {"signing": "true", "signing-commits": "false"}
"""Who may have commits signed, and whether tags too."""
_GIT = (
    "git",
    "-c",
    "user.name=a",
    "-c",
    "user.email=a@example.com",
    "-c",
    "init.defaultBranch=main",
)


class World(Installation):
    """The files of the daemon, and below the same folder those of its human and of the server.

    `words` are canaries: the name of a branch of repositories that nobody was granted, what stands
    in a file of the server's account, in the human's configuration of ssh, and the passwords for
    git over https and for the human's proxy. Whatever lies in `proof` was made by an attack.
    """

    def __init__(self, folder: Path, *, port: int, forge_port: int, sites: Sites) -> None:
        """Make everything; the server's keys are in `folder`/server already.

        The server shows the forge at `forge_port`, where there is one. `sites` run, and serve
        afterwards.
        """
        super().__init__(folder)
        self.server = folder / "server"
        self.human, self.proof, self.open = folder / "human", folder / "proof", folder / "open"
        self.home = folder / "home"
        self.account, self.temporary = folder / "account", folder / "tmp"
        self.forge, self._kept = folder / "forge", folder / "kept"
        made_here = (self.human, self.home, self.proof, self.open, self.account, self.temporary)
        for made in (*made_here, self.forge):
            made.mkdir()
        self.proof.chmod(0o777)
        self.words = tuple(secrets.token_hex(16) for _ in range(5))
        user = pwd.getpwuid(os.getuid()).pw_name
        self._make_repositories()
        self.names = {
            **{name: str(getattr(self, name)) for name in ("open", "proof", "server", "account")},
            "root": str(folder),
            "human": str(self.human),
            "port": str(port),
            "user": user,
            "main": self._git_open("rev-parse", "main"),
            "zero": "0" * 40,
            "base": self._git_open("rev-parse", "main~1"),
        }
        ports = {name: str(site.port) for name, site in sites._asdict().items()}
        self.names |= {"web": ports.pop("granted"), **ports, "word": self.words[0]}
        self.names |= {name.upper(): self.names[name].upper() for name in ("main", "base")}
        self._write_human(port, forge_port, user)
        self._show(sites)
        self.enable(["git-remote", "ssh", "git-sign"], more="[limits]\nlog_bytes_s = 1000000000\n")
        for agent, grant in GRANTS.items():
            self.grant(agent, grant)
        modules = {"ssh": _SSH.format(human=self.human)}
        for agent, grant in _HOSTS.items():
            self.add_agent(agent, profile=_SESSION.format(grant=grant), modules=modules)
        for agent, tags in _SIGNERS.items():
            self.add_agent(agent, profile=_SIGNING.format(server=self.server, tags=tags))

    def _make_repositories(self) -> None:
        word, content, *_ = self.words
        (self.account / "notes").write_text(content)
        work = self.folder / "work"
        _git(self.folder, "init", "--quiet", str(work))
        for text in ("one", "two"):
            _git(work, "commit", "--quiet", "--allow-empty", "-m", text)
        _git(work, "branch", "agent/x")
        _git(self.folder, "clone", "--quiet", "--bare", str(work), str(self.open / "app.git"))
        _git(work, "branch", word)
        for place in (
            *(self.folder / "secret.git", self.open / "below" / "secret.git"),
            *(self.account / ".git", self.account / "secret.git", self.open / ".git"),
        ):
            _git(self.folder, "clone", "--quiet", "--bare", str(work), str(place))
        if forge.why_not() is None:
            forge.make_forge(
                self.forge,
                key=self.server / "client-key.pub",
                open_work=self.open / "app.git",
                work=work,
                word=word,
                proof=self.proof,
            )
        for folder in (self.open / "app.git", self.forge):
            _copy(folder, self._kept / folder.name)

    def grant(self, agent: str, grant: str) -> None:
        """Write the profile of an agent, new or not; a daemon that runs must reload."""
        text = grant.format(**self.names)
        self.add_agent(agent, profile=_PROFILE.format(human=self.human, grant=text))

    def fill(self, text: str) -> str:
        """Put what this world has for each `<name>`."""
        for name, value in self.names.items():
            text = text.replace(f"<{name}>", value)
        return text

    def fill_bytes(self, data: bytes) -> bytes:
        """As `fill`, for bytes."""
        return os.fsencode(self.fill(os.fsdecode(data)))

    def restore(self) -> None:
        """Undo what an attack has done to the repositories that are granted, and its proofs."""
        for folder in (self.open / "app.git", self.forge):
            shutil.rmtree(folder)
            _copy(self._kept / folder.name, folder)
        for file in self.proof.iterdir():
            file.unlink()

    def _write_human(self, port: int, forge_port: int, user: str) -> None:
        key = (self.server / "host-key.pub").read_text()
        spellings = (
            "127.0.0.1",
            "127.1",
            "localhost",
            "0x7f000001",
            "2130706433",
            "127.9.9.9",
            "::1",
        )
        hosts = "".join(f"[{name}]:{port} {key}" for name in spellings)
        (self.human / "known_hosts").write_text(f"* {key}{hosts}within.proxied.test {key}")
        settings = {name: str(getattr(self, name)) for name in ("server", "human", "proof")}
        settings |= {"user": user, "word": self.words[2]}
        text = _CLIENT.format(**settings, port=port, forge_port=forge_port)
        (self.human / "config").write_text(text)

    def _show(self, sites: Sites) -> None:
        """Write the human's git, and have the servers serve."""
        proxied = write_git(
            self.home,
            passwords=(self.words[3], self.words[4]),
            sites=sites,
            names=self.names,
            fill=self.fill,
        )
        ports = {name: int(self.names[name]) for name in ("web", "plain", "impostor")}
        sites.proxy.show(proxied, ports=ports, fill=self.fill_bytes)
        answers = {key: self.fill_bytes(said) for key, said in list_answers()}
        sites.granted.show(self.folder, account=f"bot:{self.words[3]}", answers=answers)

    def _git_open(self, *words: str) -> str:
        return _git(self.open / "app.git", *words)


def _copy(folder: Path, other: Path) -> None:
    # The forge serves no repository whose hooks are not links to its own.
    shutil.copytree(folder, other, symlinks=True)


def _git(where: Path, *words: str) -> str:
    done = subprocess.run(
        [*_GIT, *words], cwd=where, capture_output=True, text=True, check=True, env=_bare()
    )
    return done.stdout.strip()


def _bare() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
