"""A workspace looked through for what the human's own tools would run or obey in it."""

import hashlib
import os
import re
from collections import deque
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import msgspec

from airlock_daemon.scan import git_config
from airlock_daemon.scan.rules import (
    HOOK,
    IMPORTS,
    NAMES,
    VENV_PROGRAM,
    WHOLE,
    Rule,
    find_link_rule,
    find_rule,
)
from airlock_daemon.scan.tree import Entry, LimitError, Tree

SECONDS = 60.0
_UNWALKED = frozenset(("objects", "refs", "logs", "lfs"))
"""What a git directory has much of, and obeys nothing in."""
_OF_GIT = ("config", "config.worktree", "hooks")
_MOST_CONFIGS = 10_000
_SHOWN = 400
_VARIABLE = re.compile(r"\s*(export\s+)?[A-Za-z_]\w*\s*=")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a file, or all of it (`line` 0), and what would run or obey it.

    `digest` tells it from all others. With `is_order` it stands for the order of a file's lines.
    """

    path: str
    line: int
    text: str
    why: str
    digest: str
    is_order: bool = False


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the workspace `root`; `missed` says what of it was not looked at, or ""."""

    root: str
    items: tuple[Item, ...]
    missed: str = ""

    def compare(self, noted: AbstractSet[str]) -> list[tuple[Item, bool]]:
        """What to show, in order of path and line, and whether it is new: its digest is not noted.

        Of a file in which no line is new the order is, if it is not as it was.
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
    """Look through the directory `root`; raises OSError where it cannot be opened.

    Nothing in it is run, followed out of it or waited for.
    """
    tree = Tree(root, seconds=seconds)
    try:
        search = _Search(tree, os.path.normpath(root))
        missed = search.run()
        return Scan(root=root, items=tuple(search.items.values()), missed=missed)
    finally:
        tree.close()


class _Search:
    def __init__(self, tree: Tree, root: str) -> None:
        self._tree = tree
        self._root = root
        self.items: dict[str, Item] = {}
        self._configs: set[str] = set()
        # Nearest first, so that a great many files in one directory hide nothing above them.
        self._waiting: deque[tuple[str, Rule | None]] = deque([("", None)])
        self._looked: set[tuple[str, Rule | None]] = set()

    def run(self) -> str:
        """Look through everything; returns what was missed."""
        try:
            while self._waiting:
                path, rule = self._waiting.popleft()
                self._look_through(path, rule)
        except LimitError as error:
            return str(error)
        return ""

    def _look_through(self, path: str, inherited: Rule | None) -> None:
        if (path, inherited) in self._looked:
            return
        self._looked.add((path, inherited))
        entries = self._tree.list(path)
        names = {each.name for each in entries}
        is_git = _is_git_directory(names)
        if is_git:
            self._look_at_git(path)
        for each in entries:
            inner = os.path.join(path, each.name)
            rule = inherited or find_rule(inner)
            if each.name.endswith(".sample") and rule is HOOK:
                # git comes with them, and never runs one.
                continue
            if each.is_link:
                self._look_at_link(inner, inherited, is_git=is_git)
            elif each.is_directory:
                self._look_into(inner, each, rule=inherited, is_git=is_git, beside=names)
            elif each.name == ".git":
                self._look_at_pointer(inner)
            elif each.name == ".gitmodules":
                self._look_at_config(inner, base=path)
            elif rule is not None:
                self._look_at_file(inner, rule)

    def _look_into(
        self, path: str, entry: Entry, *, rule: Rule | None, is_git: bool, beside: AbstractSet[str]
    ) -> None:
        """Have a directory looked through later, by a rule for all files in it if there is one."""
        if is_git and entry.name in _UNWALKED:
            return
        if entry.name in ("bin", "Scripts") and "pyvenv.cfg" in beside:
            rule = VENV_PROGRAM
        self._waiting.append((path, rule))

    def _look_at_link(self, path: str, inherited: Rule | None, *, is_git: bool) -> None:
        """A link is obeyed as what it leads to, which is looked at where that is in here."""
        name = os.path.basename(path)
        rule = inherited or find_link_rule(path)
        is_gits = name in (".git", ".gitmodules") or (is_git and name in _OF_GIT)
        target = self._tree.read_link(path) if rule is not None or is_gits else None
        if target is None:
            return
        why = rule.why if rule is not None else "git obeys what is there"
        self._add(path, 0, f"a link to {target}", why, f"link {target}")
        inside = self._resolve(os.path.dirname(path), target)
        if inside is None:
            return
        if name == ".git":
            self._look_at_git(inside)
        elif name.startswith(("config", ".gitmodules")) and is_gits:
            self._look_at_config(inside, base=os.path.dirname(path))
        elif self._tree.is_directory(inside):
            self._waiting.append((inside, HOOK if is_gits else rule))
        elif rule is not None:
            self._look_at_file(inside, rule)

    def _look_at_file(self, path: str, rule: Rule) -> None:
        file = self._tree.read(path)
        if file is None or (rule.only_executable and not file.is_executable):
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

    def _look_at_git(self, path: str) -> None:
        """Look at a directory that git takes, or is told to take, for a repository."""
        base = os.path.dirname(path) if os.path.basename(path) == ".git" else path
        for name in ("config", "config.worktree"):
            self._look_at_config(os.path.join(path, name), base=base)
        self._waiting.append((os.path.join(path, "hooks"), HOOK))
        common = self._tree.read(os.path.join(path, "commondir"))
        if common is not None:
            self._look_at_elsewhere(os.path.join(path, "commondir"), common.content, path)

    def _look_at_pointer(self, path: str) -> None:
        """A file `.git`: where the repository of the directory is (gitrepository-layout(5))."""
        file = self._tree.read(path)
        if file is not None:
            content = (file.content or b"").removeprefix(b"gitdir:").strip()
            self._look_at_elsewhere(path, content, os.path.dirname(path))

    def _look_at_elsewhere(self, path: str, content: bytes | None, base: str) -> None:
        target = os.fsdecode((content or b"").strip())
        inside = self._resolve(base, target)
        if inside is None or not self._tree.is_directory(inside):
            why = "git takes its settings and hooks from there"
            self._add(path, 0, target or "the whole file", why, target)
        elif inside not in self._configs:
            self._configs.add(inside)
            self._look_at_git(inside)

    def _look_at_config(self, path: str, *, base: str) -> None:
        """A configuration of git's, with what it includes; `base` is where its commands run."""
        if path in self._configs:
            return
        self._configs.add(path)
        if len(self._configs) > _MOST_CONFIGS:
            raise LimitError(f"more than {_MOST_CONFIGS} configurations of git")
        file = self._tree.read(path)
        if file is None:
            return
        if file.content is None:
            self._add(path, 0, "the whole file", "git obeys it, and it is too long", file.digest)
            return
        for setting in git_config.parse(file.content.decode("utf-8", "surrogateescape")):
            self._look_at_setting(setting, path, base)

    def _look_at_setting(self, setting: git_config.Setting, path: str, base: str) -> None:
        why = git_config.explain(setting)
        if why is None:
            return
        name, value = setting.name, setting.value
        if name == "core.worktree" and self._resolve(os.path.dirname(path), value) is not None:
            return
        text = f"{name} = {value}" if name else value
        self._add(path, setting.line, text, why, text)
        if name.startswith(("include.", "includeif.")) and name.endswith(".path"):
            inside = self._resolve(os.path.dirname(path), value)
            if inside is not None:
                self._look_at_config(inside, base=base)
        elif name == "core.hookspath":
            inside = self._resolve(base, value)
            if inside is not None:
                self._waiting.append((inside, HOOK))

    def _resolve(self, base: str, target: str) -> str | None:
        """The path of the workspace that `target` leads to from `base`; None for one outside."""
        if target.startswith("~"):
            return None
        whole = os.path.normpath(os.path.join(self._root, base, target))
        if whole == self._root:
            return ""
        prefix = self._root.rstrip("/") + "/"
        return whole[len(prefix) :] if whole.startswith(prefix) else None

    def _add(
        self, path: str, line: int, text: str, why: str, what: str, *, is_order: bool = False
    ) -> None:
        """Note an item; `what` is what has to be the same for it to be the same one."""
        made = f"{path}\0{'file' if not line else 'line'}\0{what}"
        digest = hashlib.sha256(os.fsencode(made)).hexdigest()[:32]
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        item = Item(path=path, line=line, text=shown, why=why, digest=digest, is_order=is_order)
        self.items.setdefault(digest, item)


def _is_git_directory(names: AbstractSet[str]) -> bool:
    """Whether git could take a directory with these names for a repository, bare or not."""
    return "HEAD" in names and ({"objects", "refs"} <= names or "commondir" in names)


def _list_lines(content: bytes, rule: Rule) -> Iterator[tuple[int, str]]:
    """The lines that count, each with its number: not the empty ones."""
    text = content.decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.splitlines(), start=1):
        is_wanted = rule.how != IMPORTS or line.startswith("import")
        if line.strip() and is_wanted:
            yield number, line.rstrip()


def _hide_value(line: str) -> str:
    """The name that a line of variables sets. What is no such line may be part of a secret."""
    found = _VARIABLE.match(line)
    return f"{found[0]}..." if found else "..."
