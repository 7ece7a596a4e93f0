"""Tests of `airlock_daemon.boundary.command.launcher`."""

from collections.abc import Mapping

from airlock_daemon.boundary.command.launcher import build_environment
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.profile import Profile, parse_profile
from airlock_modules import load_builtin, parse_module

MODULE = """
[command]
bin = "tool"
[deny]
args = []
[env]
inherit = ["TOKEN_FILE"]
forward = ["NAME", "MY_*", "LANG"]
strip = ["GONE", "TZ", "MY_SECRET"]
set = { PINNED = "module" }
"""


def profile(text: str = "") -> Profile:
    faults: list[object] = []
    read = parse_profile(
        "commands = []\n" + text,
        source="airlock.toml",
        upper=Limits(),
        modules=Modules(),
        faults=faults,  # type: ignore[arg-type]
    )
    assert read is not None
    assert not faults
    return read


def build(
    text: str = "", *, client: Mapping[str, str] = {}, term: str | None = None, **daemon: str
) -> dict[str, str]:
    module = parse_module(MODULE, name="tool", source="test")
    return build_environment(
        module, profile(text), daemon=daemon, search_path="/bin", client=client, term=term
    )


def test_the_daemons_own_variables_are_not_inherited() -> None:
    """A variable of the daemon that nobody named does not reach the tool."""
    built = build(HOME="/home/me", AWS_SECRET_ACCESS_KEY="x", LC_ALL="C", TOKEN_FILE="t")
    assert built == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LC_ALL": "C",
        "TOKEN_FILE": "t",
        "PINNED": "module",
    }


def test_a_stripped_name_is_absent_even_if_the_profile_sets_it() -> None:
    """The module's strip wins over the profile and over the base."""
    built = build('[env]\nset = { GONE = "1", KEPT = "2" }', TZ="UTC")
    assert "GONE" not in built
    assert "TZ" not in built
    assert built["KEPT"] == "2"


def test_the_modules_set_beats_the_profiles() -> None:
    """A profile cannot override what the module pins."""
    assert build('[env]\nset = { PINNED = "profile" }')["PINNED"] == "module"


def test_a_client_gives_what_the_module_forwards_and_nothing_else() -> None:
    """Neither the base nor what is inherited is the client's to say."""
    client = {"NAME": "n", "MY_": "m", "MYX": "x", "PATH": "/evil", "HOME": "/evil", "TERM": "evil"}
    built = build(client=client, HOME="/home/me", TOKEN_FILE="t")
    assert built == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "TOKEN_FILE": "t",
        "NAME": "n",
        "MY_": "m",
        "PINNED": "module",
    }


def test_the_later_one_wins() -> None:
    """The daemon, the client, the profile, strip, the module's set: in this order."""
    client = {"LANG": "C", "MY_SECRET": "s", "MY_X": "client"}
    assert build(client=client, LANG="de_DE.UTF-8")["LANG"] == "C"
    built = build('[env]\nset = { LANG = "en_GB.UTF-8", MY_X = "profile" }', client=client)
    assert (built["LANG"], built["MY_X"]) == ("en_GB.UTF-8", "profile")
    assert "MY_SECRET" not in built


def test_a_locale_of_the_client_is_no_file() -> None:
    """A value that the C library would open is as if it had not been sent."""
    assert build(client={"LANG": "/workspace/x"}, LANG="C.UTF-8")["LANG"] == "C.UTF-8"


def test_term_is_there_where_a_terminal_is() -> None:
    """It is that of the terminal and not the daemon's own, and a profile may say otherwise."""
    assert "TERM" not in build(TERM="linux")
    assert build(term="xterm-256color", TERM="linux")["TERM"] == "xterm-256color"
    assert build('[env]\nset = { TERM = "dumb" }', term="xterm")["TERM"] == "dumb"


def test_values_are_taken_as_they_are() -> None:
    """A tilde in a value is the tool's business."""
    built = build('[env]\nset = { GIT_SSH_COMMAND = "ssh -i ~/.ssh/k" }')
    assert built["GIT_SSH_COMMAND"] == "ssh -i ~/.ssh/k"


def test_a_profile_chooses_gits_protocols() -> None:
    """[git] protocols is said to git that has no box; what is in one could say it again."""
    chosen = profile('[git]\nprotocols = ["http", "ssh"]')
    git = build_environment(load_builtin("git"), chosen, daemon={}, search_path="/bin")
    boxed = build_environment(
        load_builtin("git"), chosen, daemon={}, search_path="/bin", is_boxed=True
    )
    assert "GIT_ALLOW_PROTOCOL" not in boxed
    ssh = build_environment(load_builtin("ssh"), chosen, daemon={}, search_path="/bin")
    assert git["GIT_ALLOW_PROTOCOL"] == "http:ssh"
    assert "GIT_ALLOW_PROTOCOL" not in ssh


def test_the_builtin_git_lets_a_profile_select_a_key() -> None:
    """GIT_SSH_COMMAND of a profile reaches git; the daemon's own does not."""
    chosen = profile('[env]\nset = { GIT_SSH_COMMAND = "ssh -i k" }')
    git = load_builtin("git")
    daemon = {"GIT_SSH_COMMAND": "evil"}
    with_it = build_environment(git, chosen, daemon=daemon, search_path="/bin")
    without = build_environment(git, profile(), daemon=daemon, search_path="/bin")
    assert with_it["GIT_SSH_COMMAND"] == "ssh -i k"
    assert "GIT_SSH_COMMAND" not in without


def test_git_looks_for_no_repository_above_the_workspace() -> None:
    """The human's repository that contains the workspace stays theirs."""
    git = build_environment(
        load_builtin("git"), profile(), daemon={}, search_path="/bin", root="/home/me/repo/app"
    )
    assert git["GIT_CEILING_DIRECTORIES"] == "/home/me/repo"
