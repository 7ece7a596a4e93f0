"""The command line where every name of the standard library is missing that Linux alone has."""

import pytest

from commanding import airlock_daemon
from linux_names import find_linux_names, remove_linux_names
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


def test_a_command_that_needs_a_box_is_refused_as_the_daemon_does(world: World) -> None:
    """No other system makes one; a broker needs none."""
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"git"', '"git", "git-remote"'))
    other = f'{WITH_LOOP}{remove_linux_names()}\nsys.platform = "darwin"\n{MAIN}'
    options = ("--config", str(world.config), "--agents", str(world.agents_file), "test", "my")
    words = ("git-remote", "ssh", "git@host", "git-upload-pack 'a'")
    allowed = airlock_daemon(*options, *words, before=("-c", other)).stdout
    assert "no-box" not in allowed
    refused = airlock_daemon(*options, "git", "status", status=1, before=("-c", other)).stdout
    assert '\nrule: "no-box"\n' in refused
    assert "Python is one for macOS" in refused
