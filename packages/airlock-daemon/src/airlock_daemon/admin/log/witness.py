"""Heads of the log in a ref of a git repository, which somebody else keeps a copy of.

Each commit of the ref has one file, `heads`, with a line for each head that was noted. Whoever has
a copy of the ref sees when the log was cut or written anew, and when the ref itself was: its
commits add heads, and take none away.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from airlock_daemon.admin.log.chain import Head, read_heads
from airlock_daemon.errors import AirlockError
from airlock_wire import quote

_FILE = "heads"
# Where git looks for a ref of a short name.
_PLACES = ("", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/")
# The ids of a commit with one parent.
_LINEAR = 2
_ANSWER_S = 60
# Before what a repository's configuration says: git also writes them into the log of a ref.
_IDENTITY = {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "airlock"), ("EMAIL", "airlock@localhost"))
}


class GitError(AirlockError):
    """Git has refused; `said` is the first line of its reason, which others may have written."""

    def __init__(self, said: str) -> None:
        super().__init__(
            "git has refused what it was asked", hint="look at the repository with git status"
        )
        self.said = said


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of the person, and the directories that agents write.

    No git is run from the latter, such as that of an active virtual environment.
    """

    directory: str
    written: tuple[str, ...]

    def refuse_written(self) -> None:
        """Raise AirlockError if it, or a directory of git for it, lies in what agents write.

        git follows symlinks in its own directory when it writes: an agent could choose the file.
        """
        from airlock_daemon.setup.generation import leads_through  # noqa: PLC0415

        for place in self._list_places():
            for each in self.written:
                if leads_through(place, (each,)):
                    raise AirlockError(
                        f"the repository of {self.directory} is in {each}, where an agent writes "
                        "what git obeys",
                        hint="name a repository of your own: git init ~/heads, "
                        "--repository ~/heads",
                    )

    def _list_places(self) -> Iterator[str]:
        directory = os.path.join(os.getcwd(), self.directory)
        yield directory
        # That of a worktree, whose owner chooses the common one.
        for kind in ("--git-dir", "--git-common-dir"):
            with suppress(GitError):
                # Relative or absolute; git before 2.31 cannot be told which.
                found = self.run("rev-parse", kind)
                yield os.path.join(directory, os.fsdecode(found).rstrip("\n"))

    def run(self, *words: str, content: bytes = b"") -> bytes:
        """Run git in it, and return what git prints.

        `content` is its standard input. Raises GitError where it ends with another status than 0,
        and AirlockError where there is no git, or it does not end.
        """
        from airlock_daemon.setup.generation import Programs  # noqa: PLC0415

        path = Programs.of(None, workspaces=self.written, warnings=[]).path
        program = Programs(path).find("git")
        if program is None:
            raise AirlockError("this needs git, and there is none on PATH", hint="install git")
        variables = {
            "PATH": path,
            "HOME": os.path.expanduser("~"),
            "LC_ALL": "C",
            # Without transports a partial clone fetches nothing, by any version of git. Unlike
            # protocol.allow this holds whatever the repository's own configuration says.
            "GIT_ALLOW_PROTOCOL": "",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            **_IDENTITY,
        }
        options = ("--no-pager", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
        try:
            done = subprocess.run(
                [program, *options, *words],
                cwd=self.directory,
                env=variables,
                input=content,
                capture_output=True,
                timeout=_ANSWER_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AirlockError(
                f"git fails in {self.directory}: {error}",
                hint="run git status there, and see what it says",
            ) from error
        if done.returncode != 0:
            raise GitError(done.stderr.decode("utf-8", "replace").strip().partition("\n")[0])
        return done.stdout


def note_head(head: Head, *, ref: str, repository: Repository) -> str:
    """Add a head to the ref, which is made if it is not there; returns the id of its commit.

    `ref` is a branch, or a whole name that begins with `refs/`. A head that stands there already is
    not added again. Raises AirlockError where the ref is not one of heads, or cannot be written,
    and where agents write the repository.
    """
    repository.refuse_written()
    name = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
    try:
        repository.run("check-ref-format", name)
        listed = repository.run("for-each-ref", "--format=%(objectname) %(refname)", name)
        found = [line.split(" ")[0] for line in listed.decode().splitlines() if line.endswith(name)]
        old = found[0] if found else ""
        lines = _read(old, ref=name, repository=repository) if old else ""
        if head.hash in lines:
            return old
        blob = _write(repository, "hash-object", "-w", "--stdin", content=f"{lines}{head}\n")
        entry = f"100644 blob {blob}\t{_FILE}\n"
        tree = _write(repository, "mktree", content=entry)
        parent = ("-p", old) if old else ()
        words = ("commit-tree", "--no-gpg-sign", tree, *parent, "-m", f"{head}")
        new = _write(repository, *words)
        # Refused where somebody has moved the ref meanwhile.
        repository.run("update-ref", "--create-reflog", name, new, old or "0" * len(new))
    except GitError as error:
        raise AirlockError(
            f"the head cannot be noted in {quote(ref)} of {repository.directory}: "
            f"git says {quote(error.said)}",
            hint="name a branch such as airlock-log, and a repository with --repository",
        ) from error
    return new


def read_noted(*, ref: str, repository: Repository) -> tuple[Head, ...]:
    """The heads that a ref has, which may be one of a remote.

    Raises AirlockError without any, and where a name stands for several refs: beside the one of a
    remote, somebody may have made a branch or tag that git prefers.
    """
    try:
        listed = repository.run("for-each-ref", "--format=%(refname)").decode()
        found = {f"{place}{ref}" for place in _PLACES} & {*listed.splitlines()}
        if len(found) > 1:
            raise AirlockError(
                f"{quote(ref)} stands for {' and '.join(sorted(found))} of {repository.directory}",
                hint="write the whole name of the one that is meant",
            )
        commit = repository.run("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")
        text = _read(commit.decode().strip(), ref=ref, repository=repository)
        _require_growth(commit.decode().strip(), ref=ref, repository=repository)
    except GitError as error:
        raise AirlockError(
            f"no heads can be read from {quote(ref)} of {repository.directory}: "
            f"git says {quote(error.said)}",
            hint="name the ref that airlock log head --to-git writes, or its copy, such as "
            "origin/airlock-log, and the repository with --repository",
        ) from error
    return read_heads(text, source=ref)


def _require_growth(tip: str, *, ref: str, repository: Repository) -> None:
    """Raise AirlockError where a commit of the ref has taken heads away.

    A server that protects a branch takes any commit on top, also of whoever has changed the log.
    """
    if found := _find_other(tip, repository):
        raise AirlockError(
            f"the commit {found[:12]} of {quote(ref)} in {repository.directory} does not only add "
            "heads",
            hint="look at it, and verify with the heads of the commit before it: --head FILE",
        )


def _find_other(tip: str, repository: Repository) -> str:
    """A commit, of those up to `tip`, that does more than add lines to heads; "" for none."""
    listed = repository.run("rev-list", "--parents", tip).decode()
    commits = [line.split() for line in listed.splitlines()]
    for ids in commits:
        if len(ids) > _LINEAR:
            return ids[0]
    words = ("diff-tree", "--stdin", "--root", "-r", "--numstat", "--no-renames")
    said = "".join(f"{ids[0]}\n" for ids in commits)
    shown = _write(repository, *words, "--no-ext-diff", "--no-textconv", content=said)
    commit = tip
    for line in shown.splitlines():
        # The id of a commit, or the lines that it adds and removes, and the file's name.
        first, tab, rest = line.partition("\t")
        if not tab:
            commit = first
        elif rest != f"0\t{_FILE}":
            return commit
    return ""


def _read(commit: str, *, ref: str, repository: Repository) -> str:
    listed = repository.run("ls-tree", "--name-only", "-z", commit)
    if listed != f"{_FILE}\0".encode():
        raise AirlockError(
            f"{quote(ref)} of {repository.directory} has other files than heads of a log",
            hint="name a ref of its own, such as airlock-log",
        )
    return repository.run("cat-file", "blob", f"{commit}:{_FILE}").decode("utf-8", "replace")


def _write(repository: Repository, *words: str, content: str = "") -> str:
    return repository.run(*words, content=content.encode()).decode().strip()
