"""The configuration of git in a box.

A box gets the human's harmless settings only; git-lfs transfers its objects through the shim.
"""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Self

import msgspec

from airlock_daemon.setup.trust import Programs
from airlock_modules import Fault
from airlock_wire import quote

_ANSWER_S = 10

_IDENTITY = ("user.name", "user.email")

_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")
_TRUE = "true|yes|on|1"
_TRUTH = f"{_TRUE}|false|no|off|0"

# The settings that are copied, and their allowed values (git-config(1)).
_HARMLESS = {
    "user.name": _TEXT,
    "user.email": _TEXT,
    "init.defaultbranch": re.compile(r"(?!.*(?:\.\.|//|\.lock(?:/|$)))[A-Za-z0-9][\w./-]{0,254}\w"),
    "pull.rebase": re.compile(rf"(?i:{_TRUTH}|merges|m|interactive|i)"),
    "push.default": re.compile(r"nothing|current|upstream|tracking|simple|matching"),
    "core.autocrlf": re.compile(rf"(?i:{_TRUTH}|input)"),
}

# Copied only where git-sign signs; but a person may rely on it.
_SIGNING = "commit.gpgsign"
_READ = {**_HARMLESS, _SIGNING: re.compile(rf"(?i:{_TRUTH})")}

# The workspace may belong to another user than the box's; and background processes would be ended
# with the command.
_FIXED = (
    ("safe.directory", "*"),
    ("gc.autodetach", "false"),
    ("maintenance.autodetach", "false"),
)


class HumanGit(msgspec.Struct, frozen=True):
    """The configuration of git in boxes, as a file's text.

    `signs_commits`: the human's git would sign each commit, which git in a box does only for an
    agent that has git-sign.
    """

    config: bytes = b""
    signs_commits: bool = False

    @classmethod
    def read(
        cls, search_path: str, environment: Mapping[str, str], *, warnings: list[Fault]
    ) -> Self:
        """Read what git in boxes gets of the human's settings.

        `environment` is the daemon's, with which the human's git finds its files. git runs outside
        of all workspaces; if it fails, no setting is copied. Settings that are not copied are added
        to `warnings`.
        """
        found = _take_over(_READ, search_path, environment, warnings)
        signs = re.fullmatch(f"(?i:{_TRUE})", found.pop(_SIGNING, "")) is not None
        return cls("".join(_write((*found.items(), *_FIXED))).encode(), signs)

    @staticmethod
    def read_identity(search_path: str, environment: Mapping[str, str]) -> str:
        """The human's name and email as the text of a git configuration; "" if unset."""
        found = _take_over(_IDENTITY, search_path, environment, [])
        return "".join(_write(tuple(found.items())))


def _take_over(
    keys: Iterable[str], search_path: str, environment: Mapping[str, str], warnings: list[Fault]
) -> dict[str, str]:
    """The human's values of `keys` that are harmless."""
    found = {}
    for key, value in _ask(keys, search_path, environment, warnings):
        if _READ[key].fullmatch(value):
            found[key] = value
        else:
            found.pop(key, None)
            problem = f"{key} is {quote(value, limit=60)}, which git in a box is not given"
            remedy = f"correct it, as git config --global {key}"
            warnings.append(Fault("the configuration of git", "", problem, remedy))
    return found


def _ask(
    keys: Iterable[str], search_path: str, environment: Mapping[str, str], warnings: list[Fault]
) -> Iterator[tuple[str, str]]:
    """The values of `keys`, in the order in which git reads them."""
    program = Programs(search_path).find("git")
    if program is None:
        return
    wanted = "|".join(re.escape(key) for key in keys)
    names = ("HOME", "XDG_CONFIG_HOME")
    variables = {name: environment[name] for name in names if name in environment}
    try:
        done = subprocess.run(
            [program, "config", "--null", "--get-regexp", f"^({wanted})$"],
            cwd="/",
            # A repository at / would have its own settings.
            env={"PATH": search_path, "GIT_DIR": "/dev/null", **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
        problem = None if done.returncode in (0, 1) else done.stderr.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem is not None:
        problem = f"cannot be read, so that git in a box has none of it: {quote(problem.strip())}"
        remedy = "see what git config --global --list says"
        warnings.append(Fault("the configuration of git", "", problem, remedy))
        return
    for entry in done.stdout.decode("utf-8", "surrogateescape").split("\0"):
        key, has_value, value = entry.partition("\n")
        if key:
            yield key, value if has_value else "true"


def _write(settings: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for key, value in settings:
        section, _, name = key.partition(".")
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        yield f'[{section}]\n\t{name} = "{escaped}"\n'


# As `git lfs install` sets them.
_FILTERS = """[filter "lfs"]
\tclean = git-lfs clean -- %f
\tsmudge = git-lfs smudge -- %f
\tprocess = git-lfs filter-process
\trequired = true
"""


class ShimSettings(msgspec.Struct, frozen=True, kw_only=True):
    """git's settings for the shim in a container or box (git-config(1)).

    `agent` is the shim's path as git-lfs-agent, where git-lfs runs, `signer` that as git-sign; None
    for what is not granted. With `is_openpgp` signatures are not of ssh.
    """

    BOX_AGENT: ClassVar[str] = "/run/airlock/git-lfs-agent"
    """The shim's path as git-lfs-agent in a box."""

    BOX_SIGNER: ClassVar[str] = "/run/airlock/git-sign"
    """The shim's path as git-sign in a box."""

    agent: str | None = None
    signer: str | None = None
    is_openpgp: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """Variables with the same effect as `airlock-shim --install-git` in an image."""
        settings = self._list()
        if not settings:
            return {}
        variables = {"GIT_CONFIG_COUNT": str(len(settings))}
        for number, (section, name, value) in enumerate(settings):
            variables[f"GIT_CONFIG_KEY_{number}"] = f"{section}.{name}"
            variables[f"GIT_CONFIG_VALUE_{number}"] = value
        return variables

    def compose(self, *, has_filters: bool = False, signs_commits: bool = False) -> bytes:
        """The settings as a file's text; with filters for the host's git-lfs.

        With `signs_commits` each commit is signed.
        """
        text = (_FILTERS if has_filters else "").encode() + _compose(self._list())
        return text + b"[commit]\n\tgpgSign = true\n" if signs_commits else text

    def _list(self) -> tuple[tuple[str, str, str], ...]:
        settings: tuple[tuple[str, str, str], ...] = ()
        if self.agent is not None:
            settings += _list_settings(self.agent)
        if self.signer is not None:
            settings += _list_signing(self.signer, is_openpgp=self.is_openpgp)
        return settings


def _compose(settings: Iterable[tuple[str, str, str]]) -> bytes:
    text = ""
    for section, name, value in settings:
        first, _, rest = section.partition(".")
        text += f'[{first} "{rest}"]\n' if rest else f"[{first}]\n"
        text += f"\t{name} = {value}\n"
    return text.encode()


def _list_settings(agent: str) -> tuple[tuple[str, str, str], ...]:
    """Sections, names and values."""
    return (
        ("lfs.customtransfer.airlock", "path", agent),
        ("lfs", "standalonetransferagent", "airlock"),
        # A repository on this machine needs no daemon.
        ("lfs.file:///", "standalonetransferagent", "lfs-standalone-file"),
        # The agent does not support these, and git-lfs would look for a server by itself.
        ("lfs", "sshtransfer", "never"),
        ("lfs", "locksverify", "false"),
    )


def _list_signing(signer: str, *, is_openpgp: bool) -> tuple[tuple[str, str, str], ...]:
    """As `_list_settings`; without a key of its own git asks the daemon for the one that signs."""
    if is_openpgp:
        return (("gpg", "format", "openpgp"), ("gpg", "program", signer))
    return (
        ("gpg", "format", "ssh"),
        ("gpg.ssh", "program", signer),
        ("gpg.ssh", "defaultKeyCommand", signer),
    )
