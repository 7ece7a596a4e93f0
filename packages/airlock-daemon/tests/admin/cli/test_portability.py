"""The command line where every name of the standard library is missing that Linux alone has."""

from pathlib import Path

import pytest

from airlock_daemon import __version__
from airlock_modules import builtin_text
from commanding import Done, airlock_daemon
from linux_names import find_linux_names, remove_linux_names
from logs import write
from worlds import World

MAIN = """
from airlock_daemon.admin.cli import main
main()
"""


# An event loop has epoll, as it has kqueue on a Mac.
WITH_LOOP = """
import select, types, trio._core._io_epoll
trio._core._io_epoll.select = types.SimpleNamespace(**vars(select))
"""


def elsewhere(*args: str, status: int = 0, first: str = "") -> Done:
    """Run `airlock-daemon` where these names are missing."""
    return airlock_daemon(*args, status=status, before=("-c", first + remove_linux_names() + MAIN))


def on(world: World, *args: str, status: int = 0, first: str = "") -> Done:
    options = ("--config", str(world.config), "--agents", str(world.agents_file))
    return elsewhere(*options, *args, status=status, first=first)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("os", ["O_PATH", "pidfd_open", "memfd_create", "sched_getaffinity", "pipe2"]),
        ("select", ["epoll", "EPOLLIN", "EPOLLRDHUP", "POLLRDHUP"]),
        ("socket", ["SO_PEERCRED", "MSG_CMSG_CLOEXEC", "SOCK_CLOEXEC"]),
        ("fcntl", ["F_ADD_SEALS", "F_SETPIPE_SZ"]),
        ("signal", ["pidfd_send_signal", "sigwaitinfo"]),
        ("resource", ["prlimit"]),
    ],
)
def test_the_names_that_are_missing_are_those_of_linux(module: str, names: list[str]) -> None:
    """And the names that macOS has too are not among them."""
    found = find_linux_names()[module]
    assert set(names) <= set(found)
    assert not {"open", "O_NOFOLLOW", "posix_spawn", "poll", "AF_UNIX", "fcntl", "kill"} & set(
        found
    )


def test_the_names_are_really_gone() -> None:
    """What needs one of them cannot even be imported."""
    code = remove_linux_names() + "import airlock_daemon.platform.linux.seccomp"
    assert "AF_NETLINK" in airlock_daemon(status=1, before=("-c", code)).stderr


IMPORT_ALL = """
import importlib, pkgutil, airlock_daemon
for module in pkgutil.walk_packages(airlock_daemon.__path__, "airlock_daemon."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except (AttributeError, ImportError) as error:
            print(module.name, error)
"""


def test_every_module_can_be_imported_but_that_of_filters() -> None:
    """A daemon loads the same there; seccomp is of the HTTPS broker alone."""
    said = airlock_daemon(before=("-c", WITH_LOOP + remove_linux_names() + IMPORT_ALL)).stdout
    assert [line.split()[0] for line in said.splitlines()] == [
        "airlock_daemon.platform.linux.seccomp"
    ]


def test_what_needs_no_configuration_works() -> None:
    """The version, the help and the modules."""
    assert elsewhere("version").stdout == f"airlock-daemon {__version__}\n"
    assert elsewhere("--json", "version").stdout == f'{{\n  "version": "{__version__}"\n}}\n'
    assert "Commands:" in elsewhere("--help").stdout
    assert elsewhere("show", "git").stdout == builtin_text("git")


def test_a_configuration_can_be_checked_and_shown(world: World) -> None:
    """Nothing in it is of one system alone."""
    world.write_profile(commands='["sh"]')
    assert on(world, "check").stdout.endswith("good, with 1 note; agents: my\n")
    assert "host: yes" in on(world, "profile", "show", "my").stdout


def test_agents_can_be_added_listed_and_removed(world: World) -> None:
    """For a daemon elsewhere."""
    on(world, "agent", "add", "new", "--yes")
    assert [row.split("\t")[0] for row in on(world, "agent", "list").stdout.splitlines()] == [
        "my",
        "new",
    ]
    on(world, "agent", "remove", "new", "--yes")


def test_a_log_can_be_read_and_verified(world: World) -> None:
    """Of a daemon elsewhere, brought along."""
    write(world.log, {"command": "git", "outcome": "allowed"})
    assert "git" in on(world, "log", "tail").stdout
    assert "requests: 1" in on(world, "log", "stats").stdout
    assert on(world, "log", "verify").stdout.startswith("whole: 1 record")


def test_a_request_can_be_tested(world: World) -> None:
    """And its paths, as far as the profile maps them."""
    assert "denied" in on(world, "test", "my", "git", "push", "--force", status=1).stdout
    world.write_module("sh", "sh", '[syntax]\npath_flags = ["-C"]\n[deny]\nargs = []\n')
    world.write_profile(f'[workspace]\nmounts = {{ "/w" = "{world.workspace}" }}\n')
    (world.workspace / "out").symlink_to("/etc")
    asked = ("test", "my", "sh", "-C")
    said = on(world, *asked, "/w/out", status=1, first=WITH_LOOP).stdout
    assert "workspace: refused" in said
    (world.workspace / "sub").mkdir()
    assert "workspace: passed" in on(world, *asked, "/w/sub", first=WITH_LOOP).stdout


def test_the_surroundings_are_looked_at(world: World) -> None:
    """As far as there are any."""
    said = on(world, "doctor", status=1).stdout
    assert "note: service: the service manager: is not there: launchd has no session" in said


def test_init_makes_the_files(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says why it starts no service."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    said = elsewhere("init").stdout
    assert (tmp_path / "home" / ".config" / "airlock" / "agents.toml").is_file()
    assert "no service was installed: launchd has no session of this user" in said


def test_files_of_an_earlier_release_are_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the daemon itself runs."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config" / "airlock" / "commands").mkdir(parents=True)
    assert "Files of Airlock v0.1 become" in elsewhere("migrate", "--dry-run").stdout
    elsewhere("migrate", "--yes")
    assert (tmp_path / ".config" / "airlock" / "agents" / "default" / "airlock.toml").is_file()


def test_serving_says_which_systems_it_needs(world: World) -> None:
    """With and without Typer, before anything is read."""
    other = f'{remove_linux_names()}\nsys.platform = "sunos5"\n{MAIN}'
    options = ("--config", str(world.config), "--agents", str(world.agents_file))
    for more in ([], ["--json"]):
        done = airlock_daemon(*options, "start", *more, status=1, before=("-c", other))
        said = done.stderr.splitlines()
        assert said[0].startswith("airlock: serving needs Linux or macOS: Python has no os.O_PATH,")
        assert said[0].endswith(" here (sunos5)")
        assert said[1].startswith("airlock: hint: ")
