"""What a migration does not touch, and what it does not go on with."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from .asking import ask
from .examples import MAKERS, PROFILE, TOOL
from .hosts import Host


def refuse(host: Host, *words: str) -> str:
    """Migrate in vain: nothing is changed, and what was said is returned."""
    before = host.tree()
    done = host.run("migrate", "--yes", *words)
    assert done.exit_code == 1, done
    assert host.tree() == before
    return done.stderr


def test_files_of_no_release_are_refused(host: Host) -> None:
    """Another program may have a folder of that name."""
    host.write("settings.json", "{}\n")
    host.write("cache/data", "x\n")
    assert "has no files of any release of Airlock, but cache, settings.json" in refuse(host)


def test_nothing_at_all_is_nothing_to_do(host: Host) -> None:
    """A new host, and one of this release, whose files may be as a person likes them."""
    assert host.run("migrate").succeeded().stdout.endswith("has no files of any release")
    assert host.tree() == {}
    host.run("init").succeeded()
    host.write("hooks/pre-exec", "#!/bin/sh\n")
    before = host.tree()
    said = host.run("migrate", "--yes").succeeded().stdout
    assert said.startswith("nothing to do: ")
    assert "neither its service nor a socket" in said
    assert host.tree() == before


def test_directories_that_docker_made_are_of_no_release(host: Host) -> None:
    """It makes them for a container that comes before the first agent."""
    (host.config / "sockets" / "new").mkdir(parents=True)
    assert host.run("migrate").succeeded().stdout.startswith("nothing to do: ")
    host.write("config.toml", '[commands]\nenable = ["git"]\n')
    assert host.run("migrate").succeeded().stdout.startswith("nothing to do: ")
    host.run("agent", "add", "new", "--yes").succeeded()


def test_a_registration_that_is_not_there_is_a_mistake(host: Host) -> None:
    """What v0.3 left beside it would be taken for what is in use."""
    for release in ("v0.3", "v0.4"):
        MAKERS[release](host)
    assert f"there is no file {host.home}/agents.tml" in refuse(host, "--agents", "agents.tml")


def link_override(host: Host) -> Path:
    """A link in the place of an override."""
    return link(host, "commands/tool.toml", "~/elsewhere.toml")


def link_hooks(host: Host) -> Path:
    """A link in the place of the hooks."""
    return link(host, "hooks", "~/hooks")


def link_config(host: Host) -> Path:
    """A link in the place of config.toml."""
    host.write("config.toml", "")
    return link(host, "config.toml", "~/config.toml")


def link_agents(host: Host) -> Path:
    """A link where agents' directories will be made."""
    (host.home / "agents").mkdir()
    path = host.config / "agents"
    path.symlink_to(host.home / "agents")
    return path


def link(host: Host, name: str, target: str) -> Path:
    """Move a file of the configuration to the home, and put a link in its place."""
    path, elsewhere = host.config / name, host.home / target[2:]
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    return path


@pytest.mark.parametrize("make_link", [link_override, link_hooks, link_config, link_agents])
def test_links_are_not_followed(host: Host, make_link: Callable[[Host], Path]) -> None:
    """Neither read nor written through nor replaced."""
    MAKERS["v0.2"](host)
    path = make_link(host)
    assert f"{path}: is a link; put in its place what it leads to" in refuse(host)


@pytest.mark.parametrize(
    ("release", "name", "text", "problem"),
    [
        ("v0.2", "commands/x.toml", TOOL + "[sandbox]\nbox = 'none'\n", "it has sandbox, and "),
        ("v0.2", "commands/x.toml", "[command]\nbin = 'a'\n[allow]\nargs = []\n", "it has [allow]"),
        ("v0.3", "commands/x.toml", "[command]\nbin = 'a'\n", "not one of [deny] and [allow]"),
        ("v0.2", "commands/x.toml", "[command]\nbin = 'a/b'\n", "is a relative path"),
        ("v0.3", "profiles/x.toml", "# nothing\n", "has no commands"),
        ("v0.2", "profiles/x.toml", "commands = 'git'\n", "commands or env.set is not what"),
        ("v0.2", "profiles/x.toml", "[deny]\ngit = []\n", "deny is nothing that"),
        ("v0.2", "profiles/x.toml", "= 1\n", "not valid TOML"),
        ("v0.3", "config.toml", "[commands\n", "not valid TOML"),
        ("v0.4", "config.toml", "[commands\n", "not valid TOML"),
        ("v0.3", "config.toml", "commands = { enable = ['git'], x = 1 }\n", "commands.x did"),
    ],
)
def test_what_may_have_meant_either_is_left_to_its_owner(
    host: Host, release: str, name: str, text: str, problem: str
) -> None:
    """Whether the release used it is not known, so that neither is chosen."""
    MAKERS[release](host)
    host.write(name, text)
    said = refuse(host)
    assert f"{host.config}/{name}: " in said
    assert problem in said


def test_what_is_in_the_way_is_named_at_once(host: Host) -> None:
    """A file where an agent's would be, and one where a module's would be."""
    MAKERS["v0.2"](host)
    host.write("agents/web/airlock.toml", "commands = ['git']\n")
    host.write("modules/tool.toml", "# mine\n")
    said = refuse(host)
    assert "agents/web/airlock.toml: is where a migration makes a file" in said
    assert "modules/tool.toml: is where a migration makes a file" in said
    assert "2 faults found" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_files_of_another_user_are_theirs_to_migrate(host: Host) -> None:
    """They could put links into the way of root meanwhile."""
    MAKERS["v0.3"](host)
    os.chown(host.config, 12345, 12345)
    assert f"{host.config} belongs to user 12345" in refuse(host)


def test_nothing_is_migrated_under_a_running_daemon(host: Host) -> None:
    """Whichever release it is of: somebody listens on a socket."""
    MAKERS["v0.3"](host)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        host.socket("web").unlink()
        listening.bind(str(host.socket("web")))
        listening.listen()
        said = refuse(host)
        assert f"a daemon serves {host.socket('web')}" in said
        assert "stop it first" in said
        host.run("migrate", "--dry-run").succeeded()
    host.run("migrate", "--yes").succeeded()


def test_sockets_of_others_than_the_profiles_ask_for_the_registration(host: Host) -> None:
    """v0.4 has served since, by a file that nobody names: its agents must not be replaced."""
    MAKERS["v0.3"](host)
    host.write("~/agents.toml", '[other]\npath = "other"\n')
    host.write("~/other/airlock.toml", PROFILE)
    host.leave_socket("other")
    assert "name the registration that it had with --agents FILE" in refuse(host)
    host.run("migrate", "--yes", "--agents", "agents.toml").succeeded()
    assert "[other]" in (host.config / "agents.toml").read_text()
    assert (host.config / "profiles/web.toml").read_text() == PROFILE


def test_names_and_paths_of_a_registration_are_as_they_were_meant(host: Host) -> None:
    """Relative to the daemon's directory; names that none may have any more get others."""
    host.init("v0.4", options=" --agents airlock/agents.toml")
    host.write("config.toml", '[commands]\nenable = ["tool"]\n')
    host.write(
        "~/airlock/agents.toml",
        '["my agent"]\npath = "agents/one"\ncolour = "red"\n[my-agent]\npath = "agents/two"\n',
    )
    for name, word in (("one", "first"), ("two", "second")):
        host.write(f"~/agents/{name}/airlock.toml", 'commands = ["tool"]\n')
        text = f'[command]\nbin = "echo"\n[deny]\nargs = []\n[args]\nappend = ["{word}"]\n'
        host.write(f"~/agents/{name}/commands/tool.toml", text)
    # What it would be relative to the file is another agent's directory.
    host.write("~/airlock/agents/one/airlock.toml", "commands = []\n")
    before = (host.home / "airlock/agents.toml").read_text()
    said = host.run("migrate", "--yes").succeeded().stdout
    assert 'agent "my agent" is called my-agent-2' in said
    assert (host.home / "airlock/agents.toml").read_text() == before
    with host.serving("my-agent", "my-agent-2"):
        assert ask(host.socket("my-agent"), "tool").output == "second\n"
        assert ask(host.socket("my-agent-2"), "tool").output == "first\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TOOL + "[sandbox]\nbox = 'none'\n", "it has sandbox"),
        ("[command]\nbin = 'echo'\n", "it has not one of [deny] and [allow]"),
        ("[command]\nbin = 1\n", "[command] bin has a value of another type"),
        ('[command]\nbin = "echo"\n[deny]\nargs = ["--x=[z-a"]\n', ""),
    ],
)
def test_overrides_that_the_fourth_skipped_stay_off(host: Host, text: str, reason: str) -> None:
    """Also those that this release could read; they are set aside, and it is said."""
    MAKERS["v0.4"](host)
    path = host.write("~/airlock/web/commands/tool.toml", text)
    said = host.run("migrate", "--yes").succeeded().stdout
    assert f"{path} has never been used, since {reason}" in said
    assert not path.exists()
    assert path.with_name("tool.toml.skipped").read_text() == text
    with host.serving("web"):
        assert ask(host.socket("web"), "tool", "hello").code == -32601


def test_a_registration_that_may_mean_two_directories_is_refused(host: Host) -> None:
    """Without a service nobody knows which directory the daemon was started in."""
    MAKERS["v0.4"](host)
    host.unit.unlink()
    host.write("~/airlock/airlock/web/airlock.toml", PROFILE)
    assert '"airlock/web" may be ' in refuse(host, "--agents", "airlock/agents.toml")
