"""The key that signs for an agent: `[sign] key` of its profile, or that of the human's git.

Keys are used by the human's own ssh-keygen, from a file or from the ssh-agent, or by gpg. The
daemon reads public keys of ssh only.
"""

import os
import re
from collections.abc import Iterable

import msgspec

from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.path_text import is_within
from airlock_wire import quote

_SETTINGS = r"^(user\.(signingkey|email)|gpg\.(format|program|openpgp\.program))$"
# Exit statuses of git config: found, and not found.
_ANSWERS = (0, 1)
# Type and data of a public key (sshd(8), AUTHORIZED_KEYS FILE FORMAT); its comment is not repeated.
_PUBLIC = re.compile(r"(?:ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]{1,64} [A-Za-z0-9+/]{16,16384}={0,2}")
_LITERAL = "key::"
_MAX = 1 << 15
# In the broker's own empty directory.
_FILE = "key.pub"

_NAME_ONE = (
    "a person on the host can name a key for this agent, in [sign] of its airlock.toml: "
    f'key = "~/.ssh/agents.pub"{AND_RELOAD}'
)


class HumanSigning(msgspec.Struct, frozen=True):
    """How the human's git signs: its key, format and address, None where it has none.

    `gpg` is the name or path of its program for OpenPGP.
    """

    key: str | None = None
    format: str | None = None
    email: str | None = None
    gpg: str = "gpg"


class SigningKey(msgspec.Struct, frozen=True):
    """A key of the host: the path of its file, or a public key whose other half an agent has."""

    path: str | None
    public: str | None

    def find_file(self, directory: int) -> str:
        """The file for ssh-keygen; a public key is written into the open `directory`.

        Raises Failed if it cannot be written.
        """
        if self.path is not None:
            return self.path
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            file = os.open(_FILE, flags, 0o600, dir_fd=directory)
            with open(file, "w", encoding="ascii") as written:
                written.write(f"{self.public}\n")
        except OSError as error:
            raise Failed(
                f"the key to sign with cannot be written for ssh-keygen: {error.strerror}",
                hint="a person on the host can make room where the daemon has temporary files: in "
                "its TMPDIR, else /tmp",
            ) from error
        return _FILE


async def read_human_signing(git: str, requester: Requester) -> HumanSigning:
    """How the human's git signs. Raises Failed if git does not answer."""
    words = ("git", "config", "--null", "--get-regexp", _SETTINGS)
    status, said = await requester.run_program(git, words)
    if status not in _ANSWERS:
        raise Failed(
            f"git on the host does not say how it is configured (exit status {status})",
            hint="a person on the host can see why: git config --list",
        )
    found: dict[str, str] = {}
    for entry in said.decode("utf-8", "surrogateescape").split("\0"):
        name, _, value = entry.partition("\n")
        # The last value counts.
        found[name] = value
    gpg = found.get("gpg.openpgp.program") or found.get("gpg.program") or "gpg"
    return HumanSigning(
        key=found.get("user.signingkey") or None,
        format=found.get("gpg.format") or None,
        email=found.get("user.email") or None,
        # A path, as git reads it.
        gpg=os.path.join(requester.home, gpg[2:]) if gpg.startswith("~/") else gpg,
    )


def find_key(
    named: str | None, human: HumanSigning, *, home: str, workspaces: Iterable[str]
) -> SigningKey:
    """The key to sign with: `named` in the profile, else the human's.

    Raises Denied if there is none, no such file, or one in `workspaces` (real paths), where an
    agent could put another in its place.
    """
    if named is not None and not named.startswith(("/", "~")):
        raise _refuse("the key of this agent is one of OpenPGP, and its git signs by ssh")
    if named is not None:
        return _find_path(named, home, workspaces)
    if human.key is None or human.format != "ssh":
        raise _refuse(
            "git on the host has no ssh key to sign with (user.signingKey with gpg.format ssh)"
        )
    literal = human.key.removeprefix(_LITERAL)
    if literal != human.key or literal.startswith("ssh-"):
        return SigningKey(None, _read_public(literal))
    return _find_path(human.key, home, workspaces)


def find_openpgp(named: str | None, human: HumanSigning) -> str:
    """The user id for gpg to sign with: `named` in the profile, else the human's.

    Raises Denied if there is none.
    """
    if named is not None and named.startswith(("/", "~")):
        raise _refuse("the key of this agent is one of ssh, and its git signs by OpenPGP")
    if named is not None:
        return named
    if human.format in (None, "openpgp") and human.key is not None:
        return human.key
    raise _refuse("git on the host has no OpenPGP key to sign with (user.signingKey)")


def _find_path(name: str, home: str, workspaces: Iterable[str]) -> SigningKey:
    path = os.path.join(home, name[2:]) if name.startswith("~/") else name
    if not os.path.isabs(path) or not os.path.isfile(path):
        raise _refuse(f"the key to sign with is not there: {quote(name)}")
    if any(
        is_within(place, each) for each in workspaces for place in (path, os.path.realpath(path))
    ):
        raise _refuse(f"the key to sign with is in a workspace: {quote(name)}")
    return SigningKey(path, None)


async def find_public(key: SigningKey, program: str, requester: Requester) -> str:
    """The public key as `TYPE DATA`, without its comment.

    `program` is ssh-keygen, for a private key without a file beside it. Raises Denied without one.
    """
    if key.public is not None:
        return key.public
    path = key.path or ""
    text = _read_beside(path)
    if text is None:
        status, said = await requester.run_program(program, ("ssh-keygen", "-y", "-f", path))
        text = said.decode("utf-8", "replace") if status == 0 else ""
    return _read_public(text)


def _read_beside(path: str) -> str | None:
    """The text of a public key's file, or of that beside a private key; None without one."""
    try:
        beside = path if path.endswith(".pub") else f"{path}.pub"
        with open(beside, encoding="utf-8", errors="replace") as file:
            return file.read(_MAX)
    except OSError:
        return None


def _read_public(text: str) -> str:
    """Nothing else of the text is ever repeated: the file could be a private key."""
    found = _PUBLIC.match(text)
    if found is None:
        raise _refuse("the key to sign with has no public key of ssh")
    return found[0]


def _refuse(problem: str) -> Denied:
    return Denied(problem, layer="broker", rule="sign.key", hint=_NAME_ONE)
