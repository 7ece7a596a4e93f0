"""Files of a workspace that the human's own tools run or obey without being told to.

That is: by entering the directory, opening it in an editor, a git command, attaching a coding
agent, or the documented start of its container. What a person starts by name (make, npm run, cargo
build, a test) runs what the project says, and is excluded.
"""

import re

import msgspec

EACH = "each line"
WHOLE = "the file"
NAMES = "names alone"
IMPORTS = "lines that import"


class Rule(msgspec.Struct, frozen=True):
    """What obeys a file, and which part of it is listed.

    With `NAMES` values are hidden, as they may contain a secret.
    """

    why: str
    how: str = EACH
    only_executable: bool = False


_EDITOR = Rule("an editor that opens the directory obeys it")
_CONTAINER = Rule("starting the dev container runs it on the host, or mounts by it")
_COMPOSE = Rule("docker compose mounts and runs by it")
_AGENT = Rule("a coding agent on the host obeys it")
_DIRENV = Rule("direnv runs it on entering the directory")
_TOOLS = Rule("mise, asdf and their like obey it on entering the directory")
_HOOKS = Rule("git commit or git push runs it")
_SHELL = Rule("a shell or debugger that starts in the directory may run it")
VENV_PROGRAM = Rule("an editor or an activated shell runs it", WHOLE, only_executable=True)
HOOK = Rule("git runs it as a hook", WHOLE, only_executable=True)
_REMOTE = Rule("git takes the address of a remote from it")
_ALTERNATE = Rule("git takes objects from there, and asks the repository there")

_FILES = {
    ".envrc": _DIRENV,
    ".env": Rule("docker compose, direnv and editors take variables from it", NAMES),
    "devcontainer.json": _CONTAINER,
    ".devcontainer.json": _CONTAINER,
    ".mcp.json": _AGENT,
    ".pre-commit-config.yaml": _HOOKS,
    "lefthook.yml": _HOOKS,
    "lefthook.yaml": _HOOKS,
    ".lefthook.yml": _HOOKS,
    "mise.toml": _TOOLS,
    ".mise.toml": _TOOLS,
    "mise.local.toml": _TOOLS,
    ".tool-versions": _TOOLS,
    ".exrc": _EDITOR,
    ".nvimrc": _EDITOR,
    ".nvim.lua": _EDITOR,
    ".lvimrc": _EDITOR,
    ".dir-locals.el": _EDITOR,
    ".dir-locals-2.el": _EDITOR,
    ".sublime-project": _EDITOR,
    ".gdbinit": _SHELL,
    ".lldbinit": _SHELL,
    ".autoenv.zsh": _DIRENV,
    "pyvenv.cfg": Rule("a virtual environment's Python obeys it"),
    "sitecustomize.py": Rule("each Python of the environment runs it", WHOLE),
    "usercustomize.py": Rule("each Python of the environment runs it", WHOLE),
}
_SUFFIXES = {
    ".code-workspace": _EDITOR,
    ".sublime-project": _EDITOR,
    ".pth": Rule("each Python of the environment runs it", IMPORTS),
}
_COMPOSE_FILE = re.compile(r"(docker-)?compose([.-][\w.-]+)?\.ya?ml", re.IGNORECASE)

DIRECTORIES = {
    ".vscode": _EDITOR,
    ".idea": _EDITOR,
    ".zed": _EDITOR,
    ".fleet": _EDITOR,
    ".helix": _EDITOR,
    ".cursor": _AGENT,
    ".gemini": _AGENT,
    ".codex": _AGENT,
    ".devcontainer": _CONTAINER,
    ".mise": _TOOLS,
    ".husky": _HOOKS,
    ".cargo": Rule("an editor's Rust support obeys it"),
}
"""Directories whose files all count, by name."""

_CLAUDE = re.compile(
    r"(.*/)?\.claude/(settings[^/]*\.json|(hooks|commands|agents|skills|plugins)/.*)"
)
_MERCURIAL = re.compile(r"(.*/)?(\.hg/hgrc|\.jj/repo/config\.toml)")


def find_git_rule(part: str | None) -> Rule | None:
    """The rule for a file by its path in a git directory, except settings and hooks."""
    if part is None:
        return None
    if part.startswith(("remotes/", "branches/")):
        return _REMOTE
    is_alternate = part in ("objects/info/alternates", "objects/info/http-alternates")
    return _ALTERNATE if is_alternate else None


def find_link_rule(path: str) -> Rule | None:
    """The rule for a symlink, which may also lead to one of the directories."""
    name = path.rpartition("/")[2]
    return find_rule(path) or DIRECTORIES.get(name) or (_AGENT if name == ".claude" else None)


def find_rule(path: str) -> Rule | None:
    """The rule for a file by its path and name, None if no tool obeys it by itself."""
    above, _, name = path.rpartition("/")
    rule = _FILES.get(name)
    if rule is None and _COMPOSE_FILE.fullmatch(name):
        rule = _COMPOSE
    if rule is None:
        rule = next((each for end, each in _SUFFIXES.items() if name.endswith(end)), None)
    if rule is None:
        parts = above.split("/")
        rule = next((DIRECTORIES[part] for part in parts if part in DIRECTORIES), None)
    if rule is None and _CLAUDE.fullmatch(path):
        rule = _AGENT
    if rule is None and _MERCURIAL.fullmatch(path):
        rule = Rule("its version control runs what it says")
    return rule
