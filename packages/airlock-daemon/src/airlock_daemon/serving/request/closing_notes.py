"""Notes that Airlock appends to the output of a boxed command.

A tool in a box reports misleading errors: a missing file, a missing gpg key. The notes derive from
its arguments, environment, exit status and the box's refusals, never from its output.
"""

import bisect
import os
import re
from collections.abc import Iterable, Iterator, Sequence

from airlock_daemon.boundary.box import Boxed
from airlock_daemon.boundary.command import CommandLine, Ended
from airlock_daemon.setup.generation import Programs
from airlock_modules import GIT_SIGN
from airlock_wire import quote

# Directories that containers have of their own, as a word, a flag's value or after a flag's letter.
_CONTAINERS = re.compile(r"(?:-[A-Za-z]|[^/]*=)?(/(?:tmp|var/tmp|home|root)/.+)", re.DOTALL)

# Flags of git whose value is the next word.
_VALUE_FLAGS = ("-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env")
_COMMITS = ("commit", "merge", "cherry-pick", "revert", "am", "rebase", "pull")
_WITH_EDITOR = (*_COMMITS, "tag", "notes")
_EDITORS = ("GIT_EDITOR", "VISUAL", "EDITOR")
# DOTALL keeps line breaks from making the first alternative try each m of a long word.
_WITHOUT_EDITOR = re.compile(
    r"-[a-z]*[mF].*|--(?:message|file|no-edit|reuse-message)(?:=.*)?|-C", re.DOTALL
)
_SIGNING = re.compile(r"-S.*|--gpg-sign(?:=.*)?", re.DOTALL)
_SIGNING_TAGS = re.compile(r"-[su].*|--sign|--local-user(?:=.*)?", re.DOTALL)

UNSIGNED = (
    "warning: commits made here are not signed: commit.gpgsign of the host's git needs a key, and "
    "a box has none; a person on the host can sign them (git commit --amend --no-edit -S)"
)


def find_notes(
    line: CommandLine,
    boxed: Boxed,
    ended: Ended,
    *,
    left: Sequence[str],
    refused: Sequence[str],
) -> Iterator[str]:
    """Yield notes, each a line without its line end.

    `left` are the files that the tool left in its box, `refused` lists the refused connections.
    """
    if ended.exit_code == 0:
        return
    yield from refused
    if boxed.box.listeners is None or not boxed.box.listeners.engine:
        # Words of docker may be paths of another container.
        yield from _explain_path(line, boxed, left)
    if _is_git(line):
        if GIT_SIGN not in boxed.box.requests:
            yield from _explain_signing(line.argv)
        yield from _explain_editor(line)


def makes_commit(line: CommandLine) -> bool:
    """Whether the command is a git subcommand that may create a commit."""
    return _is_git(line) and _find_subcommand(line.argv)[0] in _COMMITS


def _is_git(line: CommandLine) -> bool:
    return os.path.basename(line.program) == "git"


def _explain_path(line: CommandLine, boxed: Boxed, left: Sequence[str]) -> Iterator[str]:
    shown = _sort_places((*boxed.list_shown(), *left))
    for word in line.argv[1:]:
        found = _CONTAINERS.fullmatch(word)
        if found is not None and not _is_in_one(found[1], shown):
            tool = os.path.basename(line.program)
            yield (
                f"{quote(found[1])} is a path of the container, and {tool} runs in a box on the "
                "host that has the workspace alone: put the file there, or pass it on standard "
                "input"
            )
            return


def _sort_places(paths: Iterable[str]) -> list[str]:
    """The paths, sorted, each with a trailing slash, without those below another."""
    places = list[str]()
    for place in sorted(path.rstrip("/") + "/" for path in paths):
        if not places or not place.startswith(places[-1]):
            places.append(place)
    return places


def _is_in_one(path: str, places: Sequence[str]) -> bool:
    """Whether `path` is in or below `places`, by bisection.

    A client may send thousands of paths, and its tool may leave hundreds of files.
    """
    path = path.rstrip("/") + "/"
    index = bisect.bisect_right(places, path)
    return index > 0 and path.startswith(places[index - 1])


def _explain_signing(argv: Sequence[str]) -> Iterator[str]:
    subcommand, words = _find_subcommand(argv)
    signing = _SIGNING_TAGS if subcommand == "tag" else _SIGNING
    word = next(filter(signing.fullmatch, words), None)
    if word is not None and (subcommand == "tag" or subcommand in _COMMITS):
        yield (
            f"git in a box has no key to sign with: leave {quote(word, limit=40)} out; a person on "
            "the host can sign afterwards (git commit --amend --no-edit -S), or grant this agent "
            f"{GIT_SIGN}"
        )


def _explain_editor(line: CommandLine) -> Iterator[str]:
    subcommand, words = _find_subcommand(line.argv)
    if subcommand not in _WITH_EDITOR or any(map(_WITHOUT_EDITOR.fullmatch, words)):
        return
    name = next((each for each in _EDITORS if line.environment.get(each)), None)
    if name is None:
        return
    program = next(iter(line.environment[name].split(None, 1)), ":")
    if program != ":" and Programs(line.environment.get("PATH", "")).find(program) is None:
        yield (
            f"the editor {quote(program, limit=80)} of {name} is not on the host, where git runs "
            "in a box: name one that is there, or give the message with -m or -F"
        )


def _find_subcommand(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Git's subcommand and the words after it; an empty one if there is none."""
    words = iter(enumerate(argv[1:], start=2))
    for behind, word in words:
        if word in _VALUE_FLAGS:
            next(words, None)
        elif not word.startswith("-"):
            return word, argv[behind:]
    return "", ()
