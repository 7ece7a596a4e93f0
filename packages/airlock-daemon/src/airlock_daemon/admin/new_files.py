"""The texts of new files, which a person goes on to edit."""

from collections.abc import Sequence

import msgspec

from airlock_daemon.admin.toml_edit import format_array, quote_string
from airlock_modules import GIT_REMOTE, GIT_SIGN

MADE = "# Made by `airlock-daemon agent add`."
"""The first line of a profile that no person wrote."""

CONFIG = """\
# What may run at all, whoever asks. Each agent's own airlock.toml says what it may use of that.
# The daemon reads this file when it starts, and after: airlock reload
"""

STARTER = f"""\
{CONFIG}
# To begin, take the # away and name commands; `airlock agent add` does it too.
# [commands]
# enable = ["git-remote", "terraform"]
"""
"""A config.toml that enables nothing yet."""

REGISTRATION = """\
# The agents: a name, and the directory with its airlock.toml. airlock start --agents FILE
"""

_COMMANDS = """\
{made} What the agent {name} may use.
# The daemon reads this file when it starts, and after: airlock reload
# To look for faults: airlock check

# Which of the commands that config.toml enables this agent may run; [] would be all of them.
commands = {commands}

# Modules of its own replace the built-in ones: commands/NAME.toml beside this file, begun with
# airlock show NAME. Settings below that are commented out work when their # is taken away.

# Variables for its tools, as they are (~ is not expanded); a key of its own for git and ssh is
# GIT_SSH_COMMAND = "ssh -i /home/me/.ssh/project_key".
[env]
# set = {{ TZ = "UTC" }}
"""
_DENY = """\

# More refusals for this agent, in the words of each command's module:
[deny]
"""
_DENIALS = {
    "aws": 'aws = ["s3 rm"]',
    "docker": 'docker = ["rmi"]',
    "git": 'git = ["rebase"]',
    "terraform": 'terraform = ["destroy"]',
}
_DIRECTORIES = """\

# Directories of this host in which its commands may run. What its container has mounted is found
# without being named, where the daemon can ask the kernel and Docker. What is named here may be
# used where it cannot (another engine, a virtual machine), and whether it is mounted or not; what
# the container has mounted at another path is used there alone.
[workspace]
"""
_GIT = """\

# Where {broker} may fetch and push: [user@]host[:port]/path; * is one path segment, ** any number.
[git]
push = {places}{seen}
refs = {refs}     # what a push may create or move
protect = {protect}     # what it may not, whatever refs says
# fetch = ["github.com/upstream/*"]      # places to fetch from only
# delete = true                          # a push may also delete what refs allows
"""
_SSH = """\

# Which hosts {names} may reach: [user@]host[:port]; * is any part of a name. A host of a private
# network, or behind a jump host, must stand here by its name.
[ssh]
"""
_SIGN = """\

# Whose commits and tags git-sign signs: patterns with one @. Absent: those of your own address.
# Your own key signs, too; by one for agents, key = "~/.ssh/agents.pub", a reader can tell who did.
[sign]
# emails = ["agent@example.com"]
# authors = ["*@*"]     # of commits by others that the agent rebases
"""
_REPOSITORIES = """\

# The repositories of GitHub that gh may use: owner/name; * is any part of a name.
[gh]
repositories = {repositories}{seen}
"""
_SEEN = "     # the remotes of its workspaces"
_NOWHERE = "     # nowhere yet"
_NO_HOST = "hosts = []     # nowhere yet\n"
_SEEN_HOSTS = """\
hosts = [     # nowhere yet; these are the names in ~/.ssh/config
{hosts}]
"""
_NONE = """\
# same_path = ["/home/me/src/app"]                  # mounted at the same path in the container
# mounts = { "/workspace" = "/home/me/src/app" }    # mounted at another one
"""
_SOME = """\
same_path = {paths}     # mounted at the same path in the container
# mounts = {{ "/workspace" = {first} }}     # mounted at another one
"""


class GitLines(msgspec.Struct, frozen=True, kw_only=True):
    """The values of `[git]` in a new profile."""

    push: Sequence[str]
    refs: Sequence[str]
    protect: Sequence[str]


def write_profile(
    name: str,
    *,
    commands: Sequence[str],
    workspaces: Sequence[str],
    git: GitLines | None = None,
    sessions: Sequence[str] = (),
    hosts: Sequence[str] = (),
    repositories: Sequence[str] | None = None,
) -> str:
    """The airlock.toml of a new agent, with other settings in comments.

    Each comment can be enabled by itself. `git` is None for an agent that does not reach remotes.
    `sessions` are its ssh commands, and `hosts` proposals for them. `repositories` are gh's, None
    if the profile need not name any.
    """
    text = _COMMANDS.format(made=MADE, name=name, commands=format_array(commands))
    if examples := [_DENIALS[each] for each in commands if each in _DENIALS]:
        text += _DENY + "".join(f"# {each}\n" for each in examples)
    if git is not None:
        text += _GIT.format(
            broker=GIT_REMOTE,
            places=format_array(git.push),
            seen=_SEEN if git.push else _NOWHERE,
            refs=format_array(git.refs),
            protect=format_array(git.protect),
        )
    if sessions:
        text += _SSH.format(names=" and ".join(sessions))
        lines = "".join(f"    # {quote_string(each)},\n" for each in hosts)
        text += _SEEN_HOSTS.format(hosts=lines) if hosts else _NO_HOST
    if GIT_SIGN in commands:
        text += _SIGN
    if repositories is not None:
        seen = _SEEN if repositories else _NOWHERE
        text += _REPOSITORIES.format(repositories=format_array(repositories), seen=seen)
    text += _DIRECTORIES
    if not workspaces:
        return text + _NONE
    return text + _SOME.format(paths=format_array(workspaces), first=quote_string(workspaces[0]))
