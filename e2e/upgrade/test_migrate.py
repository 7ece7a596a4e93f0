"""Each layout is migrated by the real command, served, and used by a released shim's words."""

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e.world.daemon import Daemon
from e2e.world.executables import Executables

from .asking import Answer, ask
from .examples import AGENTS, MAKERS, PROFILE, SHOW, TOOL
from .hosts import Host, new_host

RELEASES = sorted(MAKERS)


def migrate(host: Host) -> str:
    """Migrate a host, and return what was said."""
    done = host.run("migrate", "--yes").succeeded()
    return f"{done.stdout}\n{done.stderr}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """A host of a release that has been migrated, and whose daemon runs."""

    release: str
    agent: str
    host: Host
    said: str
    """The output of the migration."""
    checked: str
    """The findings of `check` after it."""
    daemon: Daemon

    def ask(self, *words: str, method: str = "exec") -> Answer:
        """Ask for a command as the agent."""
        return ask(self.host.socket(self.agent), *words, method=method)


@pytest.fixture(scope="module", params=RELEASES)
def migrated(request: pytest.FixtureRequest, executables: Executables) -> Iterator[Migrated]:
    """Migrate a host of each release once, for the tests that only look."""
    release = str(request.param)
    agent = AGENTS[release]
    with new_host(executables) as host:
        MAKERS[release](host)
        said = migrate(host)
        checked = host.run("check").stdout
        with host.serving(agent) as daemon:
            yield Migrated(
                release=release, agent=agent, host=host, said=said, checked=checked, daemon=daemon
            )


def test_a_migrated_host_decides_as_before(migrated: Migrated) -> None:
    """Overrides, hooks and profiles go on; what was skipped in silence is not turned on."""
    assert migrated.ask("tool", "hello") == Answer(output="hello\n", status=0)
    assert migrated.ask("tool", "--force").code == -32600
    assert migrated.ask("tool", "apply", "destroy").code == -32600
    assert migrated.ask("show", "KEPT" if migrated.release != "v0.1" else "HOME").status == 0
    refused = migrated.ask("tool", "forbidden")
    assert refused.code == -32600
    assert "not today" in refused.message
    assert migrated.ask("nosuch").code == -32601
    # The override of git never parsed, so that the built-in module decides, as it did.
    assert migrated.ask("git", "push", "--force", method="check").code == -32600
    assert migrated.ask("git", "status", method="check").status == 0


def test_what_works_otherwise_is_named_and_is_so(migrated: Migrated) -> None:
    """The profile's variable that a module strips, and the daemon's that nothing inherits."""
    said, release = migrated.said, migrated.release
    assert "git.toml has never been used, since not valid TOML" in said
    assert "the daemon's variables are not inherited any more" in said
    if release != "v0.1":
        assert "agent web: TOKEN of its profile does not reach show any more" in said
    assert "show, tool: runs in a box with your home" in said
    assert "git runs in a box with the workspace and without your keys" in said
    assert ('write [sandbox] user = "NAME" in config.toml' in said) == (os.geteuid() == 0)
    is_early = release in ("v0.1", "v0.2")
    assert ('the rule "destroy" refused this word anywhere' in said) == is_early
    assert migrated.ask("show", "TOKEN").status == 1
    assert migrated.ask("show", "INHERITED").status == 1
    assert migrated.ask("tool", "-c", "destroy").status == 0


def test_pushes_that_worked_go_on(migrated: Migrated) -> None:
    """The default of this release is narrower, so that what was allowed is written down."""
    agent = migrated.agent
    words = f"agent {agent}: [git] refs of its airlock.toml lets it push to all branches"
    assert words in migrated.said
    url = "git@host.example:acme/app"
    for ref, status in (("main", 0), ("refs/tags/v1", 0), ("refs/notes/x", 1)):
        tested = migrated.host.run("test", agent, "git", "push", url, f"HEAD:{ref}")
        assert tested.exit_code == status, tested.stdout
    assert "git.refs" not in migrated.checked


def test_everything_is_private_and_good_afterwards(migrated: Migrated) -> None:
    """The sockets, which 0755 showed to other users; `check` has no fault, `start` says nothing."""
    host = migrated.host
    assert (host.config / "sockets").stat().st_mode & 0o777 == 0o700
    assert "fault:" not in migrated.checked
    assert "layout" not in migrated.checked
    path = f"{host.config}/agents.toml".replace("$", "$$").replace("%", "%%")
    assert f'"--agents" "{path}"' in host.unit.read_text()
    assert "Airlock v0" not in migrated.daemon.read_words()


def test_modules_of_commands_that_are_no_built_ins_get_the_home(migrated: Migrated) -> None:
    """With the reason; `check` then has nothing to find of them but what the home gives away."""
    host, checked = migrated.host, migrated.checked
    is_last = migrated.release == "v0.4"
    folder = host.home / "airlock/web/commands" if is_last else host.config / "modules"
    for name, text in (("tool", TOOL), ("show", SHOW)):
        module = (folder / f"{name}.toml").read_text()
        assert module.startswith(text)
        assert "can read and send away every credential in your home" in module
        assert module.endswith('\n[sandbox]\nbox = "home"\n')
    assert "names no box" not in checked
    (line,) = [line for line in checked.splitlines() if '"home" is the box of ' in line]
    assert {"tool", "show"} == set(
        line.partition(" is the box of ")[2].partition(", which")[0].split(", ")
    )


def test_refs_that_a_profile_has_stay(host: Host) -> None:
    """As it may after an upgrade without a migration; one that is no TOML is left to `check`."""
    MAKERS["v0.4"](host)
    text = PROFILE + '[git]\nrefs = ["refs/heads/x"]\n'
    host.write("~/airlock/web/airlock.toml", text)
    assert "lets it push to all" not in migrate(host)
    assert (host.home / "airlock/web/airlock.toml").read_text() == text


@pytest.mark.parametrize("release", RELEASES)
def test_the_layout_is_recognised(host: Host, release: str) -> None:
    """`check` and `doctor` name it with the command to run, and `start` refuses or warns."""
    MAKERS[release](host)
    words = f"these are files of Airlock {release}"
    for command in ("check", "doctor"):
        told = host.run(command).stdout
        (line,) = [line for line in told.splitlines() if line.split()[1] == "layout:"]
        assert words in line
        assert "airlock migrate" in told.partition(line)[2 if command == "check" else 1]
    if release != "v0.4":
        started = host.run("start")
        assert started.exit_code == 1
        assert words in started.stderr
        assert "hint: airlock migrate" in started.stderr
    for made in (("init",), ("agent", "add", "new", "--yes")):
        before = host.tree()
        refused = host.run(*made)
        assert refused.exit_code == 1
        assert words in refused.stderr
        assert host.tree() == before


@pytest.mark.parametrize("release", RELEASES)
def test_a_host_on_which_only_init_was_run(host: Host, release: str) -> None:
    """v0.1 served at once; with the others nothing is enabled or nobody is there to use it."""
    host.init(release)
    done = host.run("migrate", "--yes")
    assert host.run("migrate").succeeded().stdout.startswith("nothing to do: ")
    is_enabled = release in ("v0.1", "v0.2")
    assert done.exit_code == (0 if is_enabled else 1)
    assert ("[commands] enable: enables no command" in done.stderr) != is_enabled
    if release == "v0.1":
        with host.serving("default"):
            assert ask(host.socket("default"), "git", "status", method="check").status == 0
    elif is_enabled:
        assert "there is no agent yet: airlock agent add NAME" in done.stdout
        host.run("agent", "add", "new", "--yes").succeeded()


def test_the_log_goes_on(host: Host) -> None:
    """The records of earlier releases stay, which nothing proves; those since are chained."""
    MAKERS["v0.3"](host)
    log = host.write("~/.local/share/airlock/airlock.log", '{"ts":"2026-01-01T00:00:00Z"}\n')
    migrate(host)
    with host.serving("web"):
        assert ask(host.socket("web"), "tool", "hello").status == 0
    assert log.read_text().startswith('{"ts":"2026-01-01T00:00:00Z"}\n')
    assert log.stat().st_mode & 0o777 == 0o600
    verified = host.run("log", "verify").succeeded().stdout
    assert "the 1 records before it are those of an earlier release" in verified


def test_files_of_the_fourth_serve_as_they_are_with_a_warning(host: Host) -> None:
    """Their words are those of this release; the registration is named from its own directory."""
    MAKERS["v0.4"](host)
    host.write("agents.toml", f'[web]\npath = "{host.home}/airlock/web"\n')
    (host.home / "airlock/web/commands/git.toml").unlink()
    with host.serving("web") as daemon:
        assert "warning: " in daemon.read_words()
        assert "these are files of Airlock v0.4" in daemon.read_words()
        assert ask(host.socket("web"), "git", "status", method="check").status == 0
        # No file of v0.4 can name a box.
        refused = ask(host.socket("web"), "tool", "hello")
        assert refused.code == -32600
        assert "its module names no box" in refused.message


def test_a_module_of_the_fourth_behind_a_link_is_left_to_a_person(host: Host) -> None:
    """A migration writes through no link; until somebody does, the command is refused."""
    MAKERS["v0.4"](host)
    module = host.home / "airlock/web/commands/tool.toml"
    elsewhere = host.write("~/shared/tool.toml", module.read_text())
    module.unlink()
    module.symlink_to(elsewhere)
    said = migrate(host)
    assert f"{module} is behind a link and stays as it is: tool is refused until" in said
    assert elsewhere.read_text() == TOOL
    with host.serving("web"):
        assert "its module names no box" in ask(host.socket("web"), "tool", "hello").message
        assert ask(host.socket("web"), "show", "KEPT").status == 0


def test_a_host_that_went_through_all_releases_is_the_fourth(host: Host) -> None:
    """What the earlier ones left is named, stays, and decides nothing."""
    for release in RELEASES:
        MAKERS[release](host)
    host.write("profiles/old.toml", "commands = []\n")
    said = migrate(host)
    assert "these are" not in said
    for folder in ("commands", "hooks", "profiles"):
        assert f"{folder}/ is of a release before v0.4, and nothing reads it: it stays" in said
    assert (host.config / "agents.toml").read_text().count("[") == 1
    assert host.run("migrate").stdout.startswith("nothing to do: ")
    with host.serving("web"):
        assert ask(host.socket("web"), "tool", "hello").status == 0


@pytest.mark.parametrize("last", RELEASES[1:3])
def test_a_host_that_stopped_on_the_way_is_what_it_last_was(host: Host, last: str) -> None:
    """From v0.1 up to there, each release on the files of the one before."""
    for release in RELEASES[: RELEASES.index(last) + 1]:
        MAKERS[release](host)
    assert f"Files of Airlock {last} become files of this release." in migrate(host)
    with host.serving(AGENTS[last]):
        assert ask(host.socket(AGENTS[last]), "tool", "hello").status == 0
        assert ask(host.socket(AGENTS[last]), "tool", "--force").code == -32600


def test_the_meanings_of_commands_in_the_second(host: Host) -> None:
    """An empty list allowed nothing and no list allowed all; here an empty list is all."""
    MAKERS["v0.2"](host)
    host.write("profiles/none.toml", "# nothing\ncommands = []  # really\n")
    host.write("profiles/all.toml", "[env]\nset = { A = 'b' }\n")
    host.write("profiles/my agent.toml", 'commands = ["tool"]\n')
    said = migrate(host)
    assert "agent none: commands = [] allowed nothing, and would allow all here" in said
    assert 'agent "my agent" is called my-agent' in said
    with host.serving("none", "all", "my-agent", "web"):
        for command in ("tool", "git", "show"):
            assert ask(host.socket("none"), command, "x").code == -32600
        assert ask(host.socket("all"), "tool", "hello").status == 0
        assert ask(host.socket("all"), "show", "A").output == "b\n"
        assert ask(host.socket("my-agent"), "tool", "hello").status == 0
        assert ask(host.socket("my-agent"), "show", "HOME").code == -32600


def test_an_empty_list_of_the_third_goes_on_meaning_everything(host: Host) -> None:
    """Within the ceiling, as here."""
    MAKERS["v0.3"](host)
    host.write("profiles/web.toml", "commands = []\n")
    assert "agent web: commands" not in migrate(host)
    with host.serving("web"):
        assert ask(host.socket("web"), "tool", "hello").status == 0
        assert ask(host.socket("web"), "terraform", "apply").code == -32601


def test_keys_that_did_nothing_become_comments(host: Host) -> None:
    """All releases ignored what they did not know; here it would be an error."""
    MAKERS["v0.3"](host)
    before = (
        '[commands]\nenable = ["tool"]\n[daemon]\nsocket = "/x"\nlog_level = "trace"\n'
        "[log]\nmax_size_mb = 0\n[colours]\nred = true\n"
    )
    host.write("config.toml", before)
    said = migrate(host)
    for key in ("daemon.socket", "daemon.log_level", "colours"):
        assert f"config.toml: {key} did nothing, and becomes a comment" in said
    text = (host.config / "config.toml").read_text()
    assert "\n# socket = " in text
    assert "\nmax_size_mb = 0\n" in text
    assert len(text.splitlines()) == len(before.splitlines())
    with host.serving("web"):
        assert ask(host.socket("web"), "tool", "hello").status == 0


def test_the_lines_for_the_first_ones_socket_are_told_and_not_run(host: Host) -> None:
    """Only root can put a link there. That everything is allowed is said, too."""
    MAKERS["v0.1"](host)
    host.write("hooks/words.txt", "not today\n")
    said = migrate(host)
    everything = "aws, docker, git, show, ssh, terraform, tool"
    assert (
        f"agent default may run all that is enabled, as everybody might in v0.1: {everything}"
        in said
    )
    assert "agent default: ssh enters no workspace, takes no -i, -F or -J" in said
    assert "other files of hooks/ are in the backup" in said
    target = f"{host.config}/sockets/default.sock"
    assert f"by: sudo ln -sfn {shlex.quote(target)} /var/run/docker-airlock.sock\n" in said
    escaped = target.replace("%", "%%")
    assert f"this line: L+ /var/run/docker-airlock.sock - - - - {escaped}\n" in said


def test_a_persons_unit_is_kept_in_the_backup(host: Host) -> None:
    """It is said where their lines belong, and what is in them is not shown."""
    MAKERS["v0.4"](host)
    unit = host.unit.read_text().replace("Restart=", "Environment=AWS_PROFILE=x\nRestart=", 1)
    host.unit.write_text(unit)
    said = migrate(host)
    assert f"{host.unit} is written anew" in said
    assert "AWS_PROFILE=x" not in said
    (backup,) = host.config.glob("backup-*")
    assert (backup / "airlock.service").read_text() == unit
    assert PROFILE in (host.home / "airlock/web/airlock.toml").read_text()
