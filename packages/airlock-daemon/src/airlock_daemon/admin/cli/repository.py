"""A workspace's git remotes, read without running what the repository names.

An agent may have written all of it. So git only parses one configuration file, other files must be
small and regular, and no path outside of the workspace is trusted that the agent could have set by
itself.
"""

import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.system import open_without_links
from airlock_daemon.setup.generation import Reserved
from airlock_modules import RemoteError, read_host_line, read_place
from airlock_wire import is_shown, quote

ANSWER_S = 10

_ACCOUNT = re.compile(r"^https://[^/@]*@")
_URL = re.compile(r"(?:(?:ssh|https)://)?(?P<place>[^/:]+(?::[0-9]+)?)[:/]/*(?P<path>.+)")
_REMOTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# A name that is no pattern of [git], and valid by git-check-ref-format(1).
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)))[^\s~^:?*\[\]{}\\\x00-\x20\x7f]{1,200}")
# The assumed default branches of an unknown remote.
_USUAL = ("main", "master")
USUAL_REFS = tuple(f"refs/heads/{branch}" for branch in _USUAL)
"""Refs that are always protected if a push could reach them, whatever the repository's default."""
# The most bytes read of one file: some ten thousand packed refs.
_MAX = 4 << 20


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """The repository of a workspace.

    `directory` is its common directory, with configuration and refs. `is_linked` says that the
    workspace is a linked worktree (git-worktree(1)), whose common directory is elsewhere.
    """

    directory: str
    is_linked: bool = False


def find_repository(workspace: str, reserved: Reserved) -> Repository | None:
    """The repository of the real path `workspace`, None if there is none.

    Ignores a `.git` that is a symlink. A linked worktree counts only if the main repository names
    it too, by its path without symlinks: a `.git` file could point anywhere. Raises AirlockError if
    that repository is in a reserved directory: an agent made it in its home.
    """
    link = os.path.join(workspace, ".git")
    if _is_directory(link):
        return Repository(directory=link)
    text = _read(link)
    if text is None or not text.startswith("gitdir: "):
        return None
    own = os.path.realpath(os.path.join(workspace, text.removeprefix("gitdir: ").strip()))
    common = os.path.dirname(os.path.dirname(own))
    if not _has_worktree(common, own, link):
        return None
    if conflict := reserved.conflict(common):
        raise AirlockError(
            f"{quote(link)} leads to the repository {quote(common)}, which cannot be a workspace: "
            f"{conflict}",
            hint="find out who wrote it: an agent may have moved the repository there; move it "
            "back, or use a fresh clone",
        )
    return Repository(directory=common, is_linked=True)


def _has_worktree(common: str, own: str, link: str) -> bool:
    """Whether the repository `common` has the worktree `own`, whose `.git` is `link`."""
    named = _read(os.path.join(own, "commondir"))
    back = _read(os.path.join(own, "gitdir"))
    if os.path.dirname(own) != os.path.join(common, "worktrees") or named is None or back is None:
        return False
    is_common = os.path.realpath(os.path.join(own, named.strip())) == common
    return is_common and os.path.normpath(os.path.join(own, back.strip())) == link


def list_remotes(
    repositories: Iterable[Repository], *, search_path: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The repositories' remotes as lines of `[git] push`, and their default branches as refs.

    Only the repository's own configuration is read, without includes. Without git there are no
    lines; if no default branch is known, the usual ones are returned.
    """
    places: list[str] = []
    branches: list[str] = []
    for repository in repositories:
        remotes = list(_list_remotes(repository, search_path))
        found = (read_url(url) for _, url in remotes)
        places += (place for place in found if place is not None)
        names = dict.fromkeys(("origin", *(name for name, _ in remotes)))
        branches += _find_default_branches(repository, list(names))
    refs = (f"refs/heads/{branch}" for branch in branches or _USUAL)
    return tuple(dict.fromkeys(places)), tuple(dict.fromkeys(refs))


def read_url(url: str) -> str | None:
    """Convert a remote's URL to a line of `[git]`; None for other kinds (a path, git://)."""
    # A profile must not contain the URL's user name or password.
    found = _URL.fullmatch(_ACCOUNT.sub("https://", url))
    if found is None or "://" in found["place"] or url.startswith(("/", ".", "file:", "git:")):
        return None
    if "*" in url:
        # An agent may have written it, and its star must not become a pattern of a grant.
        return None
    path = found["path"].rstrip("/").removesuffix(".git")
    try:
        return read_place(f"{found['place']}/{path}").text
    except RemoteError:
        return None


def _list_remotes(repository: Repository, search_path: str) -> Iterator[tuple[str, str]]:
    """Yield each remote's name and URL."""
    text = _read(os.path.join(repository.directory, "config"))
    if text is None:
        return
    words = ["git", "config", "--no-includes", "--file", "-"]
    try:
        done = subprocess.run(
            [*words, "--get-regexp", r"^remote\..*\.(push)?url$"],
            cwd="/",
            env={"PATH": search_path, "GIT_CONFIG_NOSYSTEM": "1"},
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        key, _, url = line.partition(" ")
        if is_shown(url):
            yield key.removeprefix("remote.").rpartition(".")[0], url


def _find_default_branches(repository: Repository, remotes: list[str]) -> Iterator[str]:
    """The branches that the remotes' HEADs name, else the usual defaults."""
    found = False
    for remote in filter(_REMOTE.fullmatch, remotes):
        head = f"refs/remotes/{remote}/"
        text = _read(os.path.join(repository.directory, head, "HEAD")) or ""
        branch = text.strip().removeprefix(f"ref: {head}")
        if text.startswith(f"ref: {head}") and is_shown(branch) and _BRANCH.fullmatch(branch):
            found = True
            yield branch
    if found:
        return
    packed = (_read(os.path.join(repository.directory, "packed-refs")) or "").split()
    refs = [f"refs/remotes/{remote}/" for remote in filter(_REMOTE.fullmatch, remotes)]
    there = [
        branch
        for branch in _USUAL
        for ref in (f"{parent}{branch}" for parent in (*refs, "refs/heads/"))
        if ref in packed or _read(os.path.join(repository.directory, ref)) is not None
    ]
    # If nothing is known, protecting a branch that does not exist does no harm.
    yield from dict.fromkeys(there or _USUAL)


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _read(path: str) -> str | None:
    """The text of a regular file of at most _MAX bytes without NUL, None for anything else.

    None also if a symlink is on the way.
    """
    try:
        # Opening a device can have effects, and opening a FIFO can block.
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        descriptor = open_without_links(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            data = file.read(_MAX + 1)
    except (OSError, ValueError):
        return None
    is_text = len(data) <= _MAX and b"\0" not in data
    return data.decode("utf-8", "surrogateescape") if is_text else None


CONFIG = "~/.ssh/config"
# The most hosts that are proposed.
MAX = 12


def find_hosts(path: str = CONFIG) -> tuple[str, ...]:
    """The aliases in ssh's configuration, without patterns; none if it cannot be read.

    Ignores included files.
    """
    try:
        with open(os.path.expanduser(path), encoding="utf-8", errors="replace") as file:
            names = tuple(dict.fromkeys(_list_names(file)))
    except OSError:
        return ()
    return names[:MAX]


def _list_names(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        key, *words = line.replace("=", " ", 1).split()[:100] or [""]
        if key.lower() != "host":
            continue
        for word in words:
            if word.startswith("#"):
                break
            try:
                if read_host_line(word).name is not None:
                    yield word
            except RemoteError:
                # A pattern with ? or !, or a quoted word.
                continue
