#!/usr/bin/env python3
"""A pre-exec hook that decides where git's remotes are, whatever the repository says.

`git push origin main` becomes `git push git@github.com:acme/app.git main`; other remotes are
refused, and so are commands that would leave the choice to the repository's configuration. The
repository is never looked at: what is in it is the container's.
"""

import json
import sys

REMOTES = {"origin": "git@github.com:acme/app.git"}

TALK = ("fetch", "ls-remote", "pull", "push")
# Those choose remotes of their own.
REFUSED = ("clone", "remote", "submodule")

# None of these takes a value or names a remote.
FLAGS = {"--dry-run", "--ff-only", "--force-with-lease", "--heads", "--no-rebase"}
FLAGS |= {"--prune", "--quiet", "--rebase", "--tags", "--verbose", "-n", "-p", "-q", "-t", "-v"}


class Refusal(Exception):
    """Why a command is refused."""


def main() -> int:
    """Print the request with the remote's URL; return 0 unless it is refused."""
    request = json.load(sys.stdin)
    params = request["params"]
    if params["command"] != "git":
        return 0
    try:
        args = pin(params["args"])
    except Refusal as refusal:
        print(json.dumps({"error": str(refusal)}))
        return 1
    if args != params["args"]:
        params["args"] = args
        json.dump(request, sys.stdout)
    return 0


def pin(args: list[object]) -> list[object]:
    """The arguments of git with a URL for the name of the remote; raises Refusal."""
    start = 0
    while args[start : start + 1] == ["-C"]:
        start += 2
    subcommand = args[start] if start < len(args) else None
    if not isinstance(subcommand, str) or subcommand.startswith("-"):
        raise Refusal("begin with the subcommand: git [-C DIR] SUBCOMMAND")
    if subcommand in REFUSED:
        raise Refusal(f"git {subcommand} chooses remotes of its own")
    if subcommand not in TALK:
        return args
    place = start + 1
    while place < len(args) and str(args[place]) in FLAGS:
        place += 1
    name = args[place] if place < len(args) else None
    if not isinstance(name, str) or name not in REMOTES:
        raise Refusal(f"write git {subcommand} REMOTE, with one of: {', '.join(REMOTES)}")
    following = args[place + 1 :]
    if any(not isinstance(word, str) or word.startswith("-") for word in following):
        raise Refusal("write flags before the remote")
    if subcommand == "fetch" and not following:
        # What a remote with a name would have: a URL has no branches of its own here.
        following = [f"+refs/heads/*:refs/remotes/{name}/*"]
    return [*args[:place], REMOTES[name], *following]


if __name__ == "__main__":
    sys.exit(main())
