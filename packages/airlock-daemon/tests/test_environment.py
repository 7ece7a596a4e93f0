"""Tests of `airlock_daemon.environment`."""

from airlock_daemon.environment import build_environment
from airlock_daemon.limits import Limits
from airlock_daemon.profile import Profile, parse_profile
from airlock_modules import load_builtin, parse_module

MODULE = """
[command]
bin = "tool"
[deny]
args = []
[env]
inherit = ["TOKEN_FILE"]
strip = ["GONE", "TZ"]
set = { PINNED = "module" }
"""


def profile(text: str = "") -> Profile:
    faults: list[object] = []
    read = parse_profile(
        "commands = []\n" + text,
        source="airlock.toml",
        upper=Limits(),
        faults=faults,  # type: ignore[arg-type]
    )
    assert read is not None
    assert not faults
    return read


def build(text: str = "", **daemon: str) -> dict[str, str]:
    module = parse_module(MODULE, name="tool", source="test")
    return build_environment(module, profile(text), daemon=daemon, search_path="/bin")


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


def test_values_are_taken_as_they_are() -> None:
    """A tilde in a value is the tool's business."""
    built = build('[env]\nset = { GIT_SSH_COMMAND = "ssh -i ~/.ssh/k" }')
    assert built["GIT_SSH_COMMAND"] == "ssh -i ~/.ssh/k"


def test_a_profile_chooses_gits_protocols() -> None:
    """[git] protocols replaces the module's list, for git alone."""
    chosen = profile('[git]\nprotocols = ["http", "ssh"]')
    git = build_environment(load_builtin("git"), chosen, daemon={}, search_path="/bin")
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
