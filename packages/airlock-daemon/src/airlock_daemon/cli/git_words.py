"""What a `git push` or `git fetch` that a person types would ask of a remote."""

from collections.abc import Sequence

import msgspec

from airlock_modules import PushList, Update, name_transport

VERBS = ("push", "fetch", "pull", "clone", "ls-remote")
"""The subcommands that speak with a remote."""

_OPTIONS = ("-o", "--push-option")
_VALUED = (*_OPTIONS, "--receive-pack", "--exec", "--repo")
_GLOBAL_VALUED = ("-C", "-c", "--git-dir", "--work-tree", "--namespace")
# What makes git choose the refs by itself.
_MANY = ("--all", "--branches", "--tags", "--mirror", "--follow-tags")
_SOME, _NONE = "1" * 40, "0" * 40


class GitCall(msgspec.Struct, frozen=True, kw_only=True):
    """One git that speaks with a remote.

    `url` is the remote as it was written, None where none was. `words` are what git would say to
    git-remote, none where `url` is the name of a remote. `push` are the refs and options that are
    written down, None for anything but a push; `is_whole` says that these are all of them.
    """

    url: str | None
    words: tuple[str, ...] = ()
    push: PushList | None = None
    is_whole: bool = True


def read_git_words(args: Sequence[str]) -> GitCall | None:
    """Read the arguments of git; None for a subcommand that speaks with no remote."""
    rest = list(args)
    while rest and rest[0].startswith("-"):
        del rest[: 2 if rest[0] in _GLOBAL_VALUED else 1]
    verb, *rest = rest or [""]
    if verb not in VERBS:
        return None
    if verb == "push":
        return _read_push(rest)
    urls = [word for word in rest if not word.startswith("-") and name_transport(word, "")]
    if not urls:
        others = [word for word in rest if not word.startswith("-")]
        return GitCall(url=others[0] if others else None)
    return GitCall(url=urls[0], words=name_transport(urls[0], "git-upload-pack"))


def _read_push(args: Sequence[str]) -> GitCall:
    names, flags, options = _sort(args)
    url, *specs = names or [""]
    deletes = bool({"-d", "--delete"} & flags)
    updates = []
    is_whole = bool(specs) and not flags.intersection(_MANY)
    while specs:
        spec = specs.pop(0)
        if spec == "tag" and specs:
            spec = f"refs/tags/{specs.pop(0)}"
        source, colon, target = spec.removeprefix("+").partition(":")
        ref = target if colon else source
        if "*" in ref or ref in ("", "HEAD", "@"):
            is_whole = False
            continue
        new = _NONE if deletes or (colon and not source) else _SOME
        # As git takes what is a branch, or is none yet.
        updates.append(Update(_NONE, new, ref if ref.startswith("refs/") else f"refs/heads/{ref}"))
    return GitCall(
        url=url or None,
        words=name_transport(url, "git-receive-pack"),
        push=PushList(updates=tuple(updates), options=tuple(options)),
        is_whole=is_whole,
    )


def _sort(args: Sequence[str]) -> tuple[list[str], set[str], list[str]]:
    """The names among the arguments of a push, its flags, and its push options."""
    names: list[str] = []
    flags: set[str] = set()
    options: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            names += rest
            break
        if not word.startswith("-"):
            names.append(word)
        elif word in _VALUED and rest:
            value = rest.pop(0)
            options += [value] if word in _OPTIONS else []
        elif equals and name in _OPTIONS:
            options.append(value)
        else:
            flags.add(name)
    return names, flags, options
