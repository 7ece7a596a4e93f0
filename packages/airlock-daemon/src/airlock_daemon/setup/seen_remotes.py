"""The remotes of a repository, as places that a profile can name."""

import os
import re
import subprocess
from collections.abc import Iterable

from airlock_modules import RemoteError, read_place

ANSWER_S = 10

_ACCOUNT = re.compile(r"^https://[^/@]*@")
_URL = re.compile(r"(?:(?:ssh|https)://)?(?P<place>[^/:]+(?::[0-9]+)?)[:/]/*(?P<path>.+)")


def find_places(workspaces: Iterable[str], *, search_path: str) -> tuple[str, ...]:
    """The remotes that are configured in these directories, a line of `[git] push` each.

    Only the repository's own file is read, and nothing that it names: it may be an agent's work.
    Empty where there is no git, no repository, or no remote that git-remote could reach.
    """
    urls = (url for each in workspaces for url in _list_urls(each, search_path))
    places = (read_url(url) for url in urls)
    return tuple(dict.fromkeys(place for place in places if place is not None))


def read_url(url: str) -> str | None:
    """The place of a remote's URL, None for one of another kind (a path, git://)."""
    # A password in it is none of a profile's, nor is the name that stands before one.
    found = _URL.fullmatch(_ACCOUNT.sub("https://", url))
    if found is None or "://" in found["place"] or url.startswith(("/", ".", "file:", "git:")):
        return None
    if "*" in url:
        # An agent may have written it: what is a pattern there must not become one of a grant.
        return None
    path = found["path"].rstrip("/").removesuffix(".git")
    try:
        return read_place(f"{found['place']}/{path}").text
    except RemoteError:
        return None


def _list_urls(workspace: str, search_path: str) -> list[str]:
    file = os.path.join(workspace, ".git", "config")
    words = ["git", "config", "--no-includes", "--file", file]
    try:
        done = subprocess.run(
            [*words, "--get-regexp", r"^remote\..*\.(push)?url$"],
            cwd="/",
            env={"PATH": search_path, "GIT_CONFIG_NOSYSTEM": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return [url for _, _, url in (line.partition(" ") for line in lines) if url.isprintable()]
