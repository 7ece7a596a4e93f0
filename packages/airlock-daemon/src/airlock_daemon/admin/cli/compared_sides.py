"""Reads a configuration to compare: a directory, or a revision of the repository that it is in.

Of a revision the blobs are written to a private directory as they are committed. Git runs no hook,
filter, helper or transport for that, and obeys no attribute: those of a revision under review could
hide a file from `git archive`.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from airlock_daemon.admin.cli.output import plain
from airlock_daemon.admin.own_git import GitError, ask_git
from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.path_text import absolute, is_within
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.generation import Generation, load_policies
from airlock_daemon.setup.paths import Locations
from airlock_modules import Fault
from airlock_modules.files.toml_reader import join_key
from airlock_wire import quote

# Files of a configuration are far smaller; this bounds what a revision makes us write.
_MOST_FILES, _MOST_BYTES = 5_000, 64 << 20
_PLAIN_FILES = ("100644", "100755")
# Directories of a configuration that it need not have.
_FOLDERS = ("commands", "hooks", "modules")
# How a word begins that can only be a directory.
_PATHS = ("/", "./", "../")
_NAME_ONE = (
    "name a directory with a config.toml, or a revision such as HEAD~1 of the repository that has "
    "the configuration in use (--config)"
)
_KEEP_APART = "keep the configuration in a directory of its own, and compare directories"

# The head of a table, rather than a line of an array.
_HEADER = re.compile(r"\s*\[{1,2}[^\[\],]*\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(r"\s*[A-Za-z0-9_.\"'-]+\s*=")

Key = tuple[str, ...]
"""The path of a value in a TOML file."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A TOML file: `name` is its path for a person, `role` its path in the agent's directory.

    The role of a file for all agents is its path beside config.toml.
    """

    name: str
    role: str
    text: str
    data: Mapping[str, object]

    def find_line(self, key: Key, text: str | None = None) -> int | None:
        """The number of the line with the string `text` in the value of `key`, or of the key.

        None if it is not there, or written in a form that is not recognised.
        """
        *table, last = key
        value = None if text is None else re.compile(_spell(text))
        name = re.compile(rf"\s*(?:{re.escape(join_key(key))}|{_spell_key(last)})\s*=")
        head = re.compile(rf"\s*\[{{1,2}}\s*{re.escape(join_key(tuple(table)))}\s*\]")
        whole = re.compile(rf"\s*\[{{1,2}}\s*{re.escape(join_key(key))}\s*\]")
        is_here, is_value = not table, False
        for number, line in enumerate(self.text.splitlines(), start=1):
            if _HEADER.match(line):
                is_here, is_value = head.match(line) is not None, whole.match(line) is not None
            elif is_here and _KEY.match(line):
                is_value = name.match(line) is not None
            if is_value and (value is None or value.search(line)):
                return number
        return None


def _spell(text: str) -> str:
    """An expression for a string of TOML: in double quotes, or in single ones."""
    basic = text.replace("\\", "\\\\").replace('"', '\\"')
    return rf"(?:\"{re.escape(basic)}\"|'{re.escape(text)}')"


def _spell_key(text: str) -> str:
    return rf"(?:{re.escape(text)}|{_spell(text)})"


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two configurations: `title` says which, for a person.

    `directory` has its config.toml. `documents` are the files of each agent, `shared` those for all
    of them; `hooks` has the digests of each agent's hooks by name. `places` has the directory of
    each agent, as it is in the configuration in use.
    """

    title: str
    directory: str
    generations: Mapping[str, Generation]
    shared: tuple[Document, ...]
    documents: Mapping[str, tuple[Document, ...]]
    hooks: Mapping[str, Mapping[str, str]]
    places: Mapping[str, str]


def read_side(wanted: str, locations: Locations, scratch: str) -> Side:
    """Read the directory or revision `wanted`; `scratch` is a new private directory.

    `locations` are those of the configuration in use: its repository has the revisions, and what
    its registration names below its directory is read at the same place of the side. Raises
    AirlockError, and SetupError with all faults of the files.
    """
    in_use = os.path.realpath(locations.config_dir)
    if os.path.isdir(wanted):
        if not wanted.startswith(_PATHS) and _is_revision(wanted, in_use):
            raise AirlockError(
                f"{quote(wanted)} is a directory here, and a revision of {in_use}",
                hint=f"write ./{plain(wanted)} for the directory, or call it where there is none",
            )
        directory = absolute(wanted)
        return _load(wanted, directory, directory, in_use, locations, str)
    if os.path.isabs(wanted):
        raise AirlockError(f"there is no directory {quote(wanted)}", hint=_NAME_ONE)
    tree = _list_revision(wanted, in_use)
    checkout = _Checkout(tree, scratch)
    directory = checkout.bring(locations.config_dir)
    title = f"{wanted} ({tree.commit[:10]})"
    return _load(title, directory, scratch, tree.top, locations, checkout.bring)


def _load(
    title: str,
    directory: str,
    root: str,
    stands_for: str,
    locations: Locations,
    bring: Callable[[str], str],
) -> Side:
    """Read a side from `directory`; files are named by their path below `root`.

    `root` stands for the directory `stands_for` of the configuration in use, and `bring` returns
    where the side has another one.
    """
    in_use = (locations.config_dir, os.path.realpath(locations.config_dir))

    def find(path: str) -> str:
        own = next((each for each in in_use if is_within(path, each)), None)
        if own is None:
            return bring(path)
        return os.path.normpath(os.path.join(directory, os.path.relpath(path, own)))

    def name(path: str) -> str:
        return os.path.relpath(path, root) if is_within(path, root) else path

    registration = find(locations.agents or locations.registration_file)
    has_agents = os.path.exists(registration)
    side = replace(locations, config_dir=directory, agents=registration if has_agents else None)
    try:
        generations = load_policies(side, find_directory=find)
    except SetupError as error:
        raise SetupError(tuple(_spell_fault(each, title, name) for each in error.faults)) from error
    shared = [os.path.join(directory, "config.toml"), *_list_modules(directory, "modules")]
    documents, hooks, places = {}, {}, {}
    for agent, generation in generations.items():
        own = generation.agent.directory
        below = os.path.relpath(own, root) if is_within(own, root) else own
        places[agent] = os.path.realpath(os.path.join(stands_for, below))
        paths = [os.path.join(own, Agent.PROFILE), *_list_modules(own, "commands")]
        documents[agent] = tuple(_read(path, own, name) for path in paths)
        found = generation.agent.hooks.paths
        hooks[agent] = {os.path.basename(path): _digest(path) for path in found}
    return Side(
        title=title,
        directory=directory,
        generations=generations,
        shared=tuple(_read(path, directory, name) for path in shared),
        documents=documents,
        hooks=hooks,
        places=places,
    )


def _spell_fault(fault: Fault, title: str, name: Callable[[str], str]) -> Fault:
    """A fault as it is shown; the author of the side may have written what it quotes."""
    remedy = "\n".join(map(plain, fault.remedy.split("\n")))
    return Fault(
        plain(f"{title}: {name(fault.source)}"), plain(fault.key), plain(fault.problem), remedy
    )


def _list_modules(directory: str, folder: str) -> list[str]:
    path = os.path.join(directory, folder)
    entries = sorted(os.listdir(path)) if os.path.isdir(path) else []
    return [os.path.join(path, entry) for entry in entries if entry.endswith(".toml")]


def _read(path: str, directory: str, name: Callable[[str], str]) -> Document:
    # Loaded before, so it is valid.
    with open(path, encoding="utf-8-sig") as file:
        text = file.read()
    role = os.path.relpath(path, directory)
    return Document(name=name(path), role=role, text=text, data=tomllib.loads(text))


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


_Entry = tuple[str, str]
"""The mode and the id of a file in a tree of git."""


class _Tree(msgspec.Struct, frozen=True):
    """A commit of the repository whose working tree begins at `top`: its files by path."""

    top: str
    commit: str
    entries: Mapping[str, _Entry]


def _find_commit(wanted: str, directory: str) -> str:
    what = f"no directory {quote(wanted)}, and no such revision of {directory},"
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}")
    return _git(directory, *words, what=what).decode().strip()


def _is_revision(wanted: str, directory: str) -> bool:
    try:
        _find_commit(wanted, directory)
    except AirlockError:
        return False
    return True


def _list_revision(wanted: str, directory: str) -> _Tree:
    top = _git(directory, "rev-parse", "--show-toplevel", what=f"no revision of {directory}")
    commit = _find_commit(wanted, directory)
    what = f"no tree of {quote(wanted)}"
    listed = _git(directory, "ls-tree", "-r", "-z", "--full-tree", commit, what=what)
    entries = {}
    for line in filter(None, listed.split(b"\0")):
        head, _, path = line.partition(b"\t")
        mode, _, identifier = head.decode().split(" ")
        name = os.fsdecode(path)
        # A tree that git would never write may have others, which lead elsewhere.
        if os.path.normpath(f"/{name}") == f"/{name}":
            entries[name] = (mode, identifier)
    return _Tree(os.fsdecode(top.removesuffix(b"\n")), commit, entries)


class _Checkout:
    """Directories of a tree, written below `scratch` when they are needed."""

    def __init__(self, tree: _Tree, scratch: str) -> None:
        self._tree = tree
        self._scratch = scratch
        self._written: set[str] = set()

    def bring(self, path: str) -> str:
        """Write a directory of the working tree as the tree has it; return where it is.

        A path below `scratch` is one that the tree's own files name. Others are returned as they
        are. Raises AirlockError for a link among the files of a configuration.
        """
        top = self._scratch if is_within(path, self._scratch) else self._tree.top
        real = path if top == self._scratch else os.path.realpath(path)
        if not is_within(real, top):
            return path
        within = os.path.relpath(real, top)
        prefix = "" if within == os.curdir else f"{within}/"
        found = [name for name in self._tree.entries if name.startswith(prefix)]
        for name in found:
            # A folder that is a link would be read in a working tree.
            is_folder, (mode, _) = os.path.basename(name) in _FOLDERS, self._tree.entries[name]
            if mode not in _PLAIN_FILES and (is_folder or _is_read(name)):
                raise AirlockError(
                    f"{quote(name)} is a link in {self._tree.commit[:10]}, and leads out of it",
                    hint="commit a plain file or directory, or compare two directories",
                )
        self._write([name for name in found if _is_read(name) and name not in self._written])
        return os.path.normpath(os.path.join(self._scratch, within))

    def _write(self, names: Sequence[str]) -> None:
        self._written.update(names)
        entries = [self._tree.entries[name] for name in names]
        if len(self._written) > _MOST_FILES:
            raise AirlockError(
                f"a revision has more than {_MOST_FILES} files for a configuration",
                hint=_KEEP_APART,
            )
        ids = "".join(f"{identifier}\n" for _, identifier in entries).encode()
        what = "no files"
        sizes = _git(self._tree.top, "cat-file", "--batch-check", what=what, content=ids)
        # Before git reads them: a revision may have files of any size.
        _check_size(sum(map(_read_size, sizes.splitlines())))
        blobs = _git(self._tree.top, "cat-file", "--batch", what=what, content=ids)
        for name, (mode, _), blob in zip(names, entries, _split(blobs), strict=True):
            path = os.path.join(self._scratch, name)
            try:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                with open(path, "xb") as file:
                    file.write(blob)
            except OSError as error:
                # The tree may name a file below another file, or by too long a name.
                raise AirlockError(
                    f"{quote(name)} of {self._tree.commit[:10]} cannot be written: "
                    f"{error.strerror}",
                    hint="compare two directories",
                ) from error
            os.chmod(path, 0o700 if mode == "100755" else 0o600)


def _is_read(path: str) -> bool:
    return path.endswith(".toml") or os.path.basename(os.path.dirname(path)) == "hooks"


def _split(blobs: bytes) -> Iterator[bytes]:
    """The contents in the output of `git cat-file --batch`."""
    at = 0
    while at < len(blobs):
        end = blobs.index(b"\n", at)
        size = _read_size(blobs[at:end])
        yield blobs[end + 1 : end + 1 + size]
        at = end + 1 + size + 1


def _read_size(line: bytes) -> int:
    """The size in a line of `git cat-file`."""
    identifier, _, size = line.decode("utf-8", "replace").partition(" blob ")
    if not size.isdecimal():
        raise AirlockError(
            f"the repository lacks the file {quote(identifier, limit=80)} of a revision",
            hint="fetch it, or compare two directories",
        )
    return int(size)


def _check_size(size: int) -> None:
    if size > _MOST_BYTES:
        raise AirlockError(
            f"a revision has more than {_MOST_BYTES >> 20} MiB for a configuration",
            hint=_KEEP_APART,
        )


def _git(directory: str, *words: str, what: str, content: bytes = b"") -> bytes:
    """Run git in a repository; raises AirlockError with what to name instead."""
    try:
        said = ask_git(directory, *words, content=content)
    except GitError as error:
        shown = f": git says {quote(error.said)}" if error.said else ""
        raise AirlockError(f"{what} can be read{shown}", hint=_NAME_ONE) from error
    _check_size(len(said))
    return said
