"""Searches a workspace for files that the human's own tools would run or obey."""

import hashlib
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress

import msgspec

from airlock_daemon.admin.scan import git_config
from airlock_daemon.admin.scan.rules import (
    HOOK,
    IMPORTS,
    NAMES,
    VENV_PROGRAM,
    WHOLE,
    Rule,
    find_git_rule,
    find_link_rule,
    find_rule,
)
from airlock_daemon.admin.scan.tree import Entry, LimitError, Tree
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.generation import State
from airlock_wire import quote

SECONDS = 60.0
_KINDS = dict.fromkeys(("objects", "refs", "logs", "hooks", "info"), True) | dict.fromkeys(
    ("HEAD", "config", "config.worktree", "commondir"), False
)
"""For names in a git directory: whether git expects a directory, or a file."""
_BELONGS = {
    "objects": re.compile(
        r"objects/([0-9a-f]{2}|pack|pack/multi-pack-index\.d|info|info/commit-graphs)/"
        r"|objects/[0-9a-f]{2}/([0-9a-f]{38}|[0-9a-f]{62}|tmp_obj_\w+)"
        r"|objects/pack/(pack-|tmp_|\.tmp-|multi-pack-index)[^/]*"
        r"|objects/pack/multi-pack-index\.d/multi-pack-index[^/]*"
        r"|objects/info/(packs|alternates|http-alternates|commit-graph)"
        r"|objects/info/commit-graphs/(graph-[0-9a-f]+\.graph|commit-graph-chain)"
        r"|objects/([\w-]+/)*[\w.-]+\.lock"
    ),
    "logs": re.compile(r"logs/(HEAD|refs/.*)"),
    "lfs": re.compile(r"lfs/((objects|tmp|incomplete|cache|logs|locks)/.*|lockcache\.db)"),
}
"""Files that git itself writes and does not obey; directories end in a slash."""
_MAX_TOLD = 3
_MAX_CONFIGS = 10_000
_SHOWN = 400
_VARIABLE = re.compile(r"\s*(export\s+)?[A-Za-z_]\w*\s*=")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a file, or all of it (`line` 0), and what would run or obey it.

    `digest` is its identity. With `is_order` it represents the order of a file's lines.
    """

    path: str
    line: int
    text: str
    why: str
    digest: str
    is_order: bool = False

    @property
    def leads_to_remote(self) -> bool:
        """Whether it is one of git's settings for a remote, which every clone has."""
        return self.why == git_config.LEADS_TO_REMOTE


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """The items of the workspace `root`; `missed` says what was not examined, or ""."""

    root: str
    items: tuple[Item, ...]
    missed: str = ""

    def compare(self, noted: AbstractSet[str]) -> list[tuple[Item, bool]]:
        """The items to show, by path and line, with whether each is new: not among `noted`.

        A changed order of lines is shown if no line of the file is new.
        """
        new = {each.digest for each in self.items} - noted
        with_new = {each.path for each in self.items if each.digest in new and not each.is_order}
        shown = [
            each
            for each in self.items
            if not each.is_order or (each.digest in new and each.path not in with_new)
        ]
        shown.sort(key=lambda each: (each.path, each.line))
        return [(each, each.digest in new) for each in shown]


def scan(root: str, *, seconds: float = SECONDS) -> Scan:
    """Scan the directory `root`; raises OSError if it cannot be opened.

    Runs nothing in it, follows nothing out of it, and waits for nothing in it.
    """
    tree = Tree(root, seconds=seconds)
    try:
        search = _Search(tree)
        missed = search.run()
        return Scan(root=root, items=tuple(search.items.values()), missed=missed)
    finally:
        tree.close()


class _Waiting(msgspec.Struct, frozen=True):
    """A directory to scan, with a rule for all its files, if any.

    `part` is its path in its git directory, "" for the git directory itself.
    """

    path: str
    rule: Rule | None = None
    part: str | None = None


class _Search:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.items: dict[str, Item] = {}
        self._configs: set[tuple[str, str, str]] = set()
        self._gits: set[tuple[str, str]] = set()
        # Breadth first, so that many files in one directory cannot hide files above them.
        self._waiting: deque[_Waiting] = deque([_Waiting("")])
        self._looked: set[_Waiting] = set()

    def run(self) -> str:
        """Scan everything; returns what was missed."""
        told = []
        try:
            while self._waiting:
                self._look_through(self._waiting.popleft())
        except LimitError as error:
            told.append(str(error))
        missed = self._tree.missed
        told += [
            f"{quote(path)} cannot be opened ({why})"
            for path, why in list(missed.items())[:_MAX_TOLD]
        ]
        if len(missed) > _MAX_TOLD:
            told.append(f"and {len(missed) - _MAX_TOLD} more cannot be opened")
        return "; ".join(told)

    def _look_through(self, place: _Waiting) -> None:
        if place in self._looked:
            return
        self._looked.add(place)
        entries = self._tree.read_directory(place.path)
        names = {each.name for each in entries}
        part = self._find_part(place, names)
        if part == "":
            above, name = os.path.split(place.path)
            self._enter_git(place.path, above if name == ".git" else place.path)
        for each in entries:
            of_git = None if part is None else os.path.join(part, each.name)
            path = os.path.join(place.path, each.name)
            if of_git is not None and not self._belongs(path, each, of_git):
                of_git = f"out of place/{of_git}"
            if each.is_link:
                self._look_at_link(path, place.rule, of_git)
            elif each.is_directory:
                is_venv = each.name in ("bin", "Scripts") and "pyvenv.cfg" in names
                self._waiting.append(
                    _Waiting(path, VENV_PROGRAM if is_venv else place.rule, of_git)
                )
            else:
                self._look_at_name(path, each, place.rule, of_git)

    def _find_part(self, place: _Waiting, names: AbstractSet[str]) -> str | None:
        """Which part of a git directory a directory with these names is, None if none."""
        if _is_git_directory(names) or os.path.basename(place.path) == ".git":
            return ""
        # A bare repository may contain one of its own worktrees.
        return None if place.part and ".git" in names else place.part

    def _look_at_name(
        self, path: str, entry: Entry, inherited: Rule | None, part: str | None
    ) -> None:
        """Examine an entry that is neither a directory nor a symlink."""
        rule = inherited or find_git_rule(part) or self._find_rule(path, part)
        is_gits = entry.name in (".git", ".gitmodules")
        if rule is HOOK and entry.name.endswith(".sample") and not is_gits:
            # git installs them, and never runs them.
            return
        if not entry.is_file and (rule is not None or is_gits):
            self._add_odd(path, "what obeys it takes what another program writes to it")
        elif entry.name == ".git":
            self._look_at_pointer(path)
        elif entry.name == ".gitmodules":
            above = os.path.dirname(path)
            self._look_at_config(above, entry.name, gitdir=above, base=above)
        elif rule is not None:
            self._look_at_file(path, rule)

    def _belongs(self, path: str, entry: Entry, part: str) -> bool:
        """Whether git itself creates such an entry; others are reported."""
        is_plain = entry.is_file or entry.is_directory
        if not is_plain and not entry.is_link:
            self._add_odd(path, "git may wait for it, or obey what is written to it")
        elif is_plain and _KINDS.get(part, entry.is_directory) != entry.is_directory:
            self._add_odd(path, "git does not expect it there")
        top = part.partition("/")[0]
        pattern = _BELONGS.get(top) if part != top and is_plain else None
        if pattern is None or pattern.fullmatch(f"{part}/" if entry.is_directory else part):
            return True
        self._add_odd(path, f"git keeps no such thing in its {top}")
        return False

    def _find_rule(self, path: str, part: str | None) -> Rule | None:
        """The rule for a file, unless it is a branch with such a name."""
        is_ref = part is not None and part.startswith(("refs/", "logs/"))
        return None if is_ref and "/." not in f"/{part}" else find_rule(path)

    def _look_at_link(self, path: str, inherited: Rule | None, part: str | None) -> None:
        """A symlink is obeyed like its target, which is examined if it is in the workspace."""
        above, name = os.path.split(path)
        rule = inherited or find_git_rule(part) or find_link_rule(path)
        is_gits = name in (".git", ".gitmodules") or part is not None
        target = self._tree.read_link(path) if rule is not None or is_gits else None
        if target is None:
            return
        why = rule.why if rule is not None else "git obeys what is there"
        self._add(path, 0, f"a link to {target}", why, f"link {target}")
        inside = self._tree.resolve(above, target)
        if inside is None:
            return
        if name == ".git":
            if self._tree.is_directory(inside):
                self._enter_git(inside, above)
            else:
                self._look_at_pointer(inside, base=above)
        elif name == ".gitmodules":
            self._look_at_config(above, name, gitdir=above, base=above)
        elif rule is not None and self._tree.is_directory(inside):
            self._waiting.append(_Waiting(inside, rule))
        elif rule is not None:
            self._look_at_file(inside, rule)

    def _look_at_file(self, path: str, rule: Rule) -> None:
        file = self._tree.read(path)
        if file is None or (rule.only_executable and not file.is_executable):
            return
        if not file.is_readable:
            self._add(path, 0, "the whole file, which you may not read", rule.why, file.digest)
            return
        if rule.how == WHOLE or file.content is None or b"\0" in file.content:
            self._add(path, 0, "the whole file", rule.why, file.digest)
            return
        lines = list(_list_lines(file.content, rule))
        for number, line in lines:
            shown = _hide_value(line) if rule.how == NAMES else line
            self._add(path, number, shown, rule.why, line)
        if lines and rule.how != IMPORTS:
            changed = "lines were moved or taken away"
            self._add(path, 0, changed, rule.why, f"all {file.digest}", is_order=True)

    def _enter_git(self, path: str, base: str) -> None:
        """Examine a directory that git takes, or is told to take, for a repository.

        `base` is the working directory of commands in its settings.
        """
        if (path, base) in self._gits:
            return
        self._gits.add((path, base))
        self._waiting.append(_Waiting(path, None, ""))
        for name in ("config", "config.worktree"):
            self._look_at_config(path, name, gitdir=path, base=base)
        self._look_at_hooks(path, "hooks")
        common = self._tree.resolve(path, "commondir")
        file = self._tree.read(common) if common is not None else None
        if file is not None:
            self._look_at_elsewhere(os.path.join(path, "commondir"), file.content, path, base)

    def _look_at_hooks(self, base: str, target: str) -> None:
        inside = self._tree.resolve(base, target)
        if inside is not None:
            self._waiting.append(_Waiting(inside, HOOK))

    def _look_at_pointer(self, path: str, base: str | None = None) -> None:
        """A file `.git`, which names the directory's repository (gitrepository-layout(5))."""
        file = self._tree.read(path)
        if file is None:
            return
        above = os.path.dirname(path) if base is None else base
        content = file.content
        if content is not None:
            mark, is_one, content = content.partition(b"gitdir: ")
            if mark or not is_one:
                self._add(path, 0, "the whole file", "git does not write it like this", file.digest)
                return
        self._look_at_elsewhere(path, content, above, above)

    def _look_at_elsewhere(self, path: str, content: bytes | None, start: str, base: str) -> None:
        """Follow the path in a file of git: all but trailing line ends, as git reads it."""
        target = os.fsdecode((content or b"").split(b"\0")[0].rstrip(b"\r\n"))
        inside = self._tree.resolve(start, target) if target else None
        if inside is None or not self._tree.is_directory(inside):
            why = "git takes its settings and hooks from there"
            self._add(path, 0, target or "the whole file", why, target)
        else:
            self._enter_git(inside, base)

    def _look_at_config(self, start: str, target: str, *, gitdir: str, base: str) -> None:
        """Examine a git configuration at `target` from `start`, and its includes.

        Includes are relative to the name it was opened by, wherever a symlink leads.
        """
        beside = self._tree.resolve(start, os.path.dirname(target) or ".")
        path = self._tree.resolve(start, target)
        if beside is None or path is None or (path, beside, base) in self._configs:
            return
        self._configs.add((path, beside, base))
        if len(self._configs) > _MAX_CONFIGS:
            raise LimitError(f"more than {_MAX_CONFIGS} configurations of git")
        file = self._tree.read(path)
        if file is None:
            return
        if file.content is None:
            what = "it is too long" if file.is_readable else "you may not read it"
            self._add(path, 0, "the whole file", f"git obeys it, and {what}", file.digest)
            return
        settings = list(git_config.parse(file.content.decode("utf-8", "surrogateescape")))
        remotes = git_config.find_remotes(settings)
        tops = [self._tree.resolve(gitdir, each.value) for each in settings if _is_worktree(each)]
        bases = [each for each in dict.fromkeys((base, gitdir, *tops)) if each is not None]
        for setting in settings:
            why = git_config.explain(setting, remotes)
            is_inside = _is_worktree(setting) and self._is_inside(gitdir, setting.value)
            if why is None or is_inside:
                continue
            name, value = setting.name, setting.value
            text = f"{name} = {value}" if name else value
            self._add(path, setting.line, text, why, text)
            if value.startswith("~"):
                continue
            if name.startswith(("include.", "includeif.")) and name.endswith(".path"):
                self._look_at_config(beside, value, gitdir=gitdir, base=base)
            elif name == "core.hookspath":
                for each in bases:
                    self._look_at_hooks(each, value)

    def _is_inside(self, start: str, target: str) -> bool:
        return not target.startswith("~") and self._tree.resolve(start, target) is not None

    def _add_odd(self, path: str, why: str) -> None:
        self._add(path, 0, "is of an odd kind, or out of place", why, "odd")

    def _add(
        self, path: str, line: int, text: str, why: str, what: str, *, is_order: bool = False
    ) -> None:
        """Add an item; `path` and `what` determine its identity."""
        made = f"{path}\0{'file' if not line else 'line'}\0{what}"
        digest = hashlib.sha256(os.fsencode(made)).hexdigest()[:32]
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        item = Item(path=path, line=line, text=shown, why=why, digest=digest, is_order=is_order)
        self.items.setdefault(digest, item)


def _is_git_directory(names: AbstractSet[str]) -> bool:
    """Whether git could take a directory with these names for a repository, bare or not."""
    return "HEAD" in names and ({"objects", "refs"} <= names or "commondir" in names)


def _is_worktree(setting: git_config.Setting) -> bool:
    return setting.name == "core.worktree"


def _list_lines(content: bytes, rule: Rule) -> Iterator[tuple[int, str]]:
    """The lines that count, with their numbers; not the empty ones."""
    text = content.decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.splitlines(), start=1):
        is_wanted = rule.how != IMPORTS or line.startswith("import")
        if line.strip() and is_wanted:
            yield number, line.rstrip()


def _hide_value(line: str) -> str:
    """The name in a line that sets a variable. Other lines may be part of a secret."""
    found = _VARIABLE.match(line)
    return f"{found[0]}..." if found else "..."


# The workspace's history proves nothing: a container that can write it can write any commit. So
# digests are stored in the daemon's state directory, out of reach of every container.


class _Noted(msgspec.Struct, frozen=True):
    """The agent's directory, and the digests of each of its workspaces."""

    directory: str
    workspaces: dict[str, list[str]]


def read_noted(state: State, agent: str, directory: str) -> Mapping[str, frozenset[str]]:
    """The digests of each workspace of the agent of `directory`; none if never noted.

    Raises AirlockError if the file cannot be read.
    """
    noted = _read(state, agent, directory)
    return {path: frozenset(digests) for path, digests in noted.workspaces.items()}


def note(state: State, agent: str, directory: str, scans: Iterable[Scan]) -> None:
    """Replace the notes on these workspaces. Raises AirlockError."""
    with state.changing():
        noted = _read(state, agent, directory)
        found = {each.root: sorted(item.digest for item in each.items) for each in scans}
        made = _Noted(directory, {**noted.workspaces, **found})
        state.write(_name(agent), msgspec.json.encode(made).decode() + "\n")


def forget(state: State, agent: str) -> None:
    """Forget all workspaces of an agent."""
    with suppress(FileNotFoundError):
        os.unlink(state.path(_name(agent)))


def _read(state: State, agent: str, directory: str) -> _Noted:
    text = state.read(_name(agent))
    if text is None:
        return _Noted(directory, {})
    try:
        noted = msgspec.json.decode(text, type=_Noted)
    except msgspec.MsgspecError as error:
        path = state.path(_name(agent))
        raise AirlockError(
            f"{path} is not as it was written: {error}",
            hint=f"remove it, and note the workspaces again: airlock scan {agent} --accept",
        ) from error
    # Another agent had the name.
    return noted if noted.directory == directory else _Noted(directory, {})


def _name(agent: str) -> str:
    return f"scan-{agent}.json"
