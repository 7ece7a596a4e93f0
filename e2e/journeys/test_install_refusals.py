"""`install.sh` where it cannot install: it says why and what to do, and leaves nothing behind."""

import shlex
from collections.abc import Iterator

import pytest
from e2e.world.fresh_host import INSTALL, FreshHost, FreshHosts

STAND_IN = """\
#!/bin/sh
{answer}
exec /usr/bin/python3 "$@"
"""


@pytest.fixture(scope="module")
def odd_host(fresh_hosts: FreshHosts) -> Iterator[FreshHost]:
    """Return a machine with programs at hand that say of it what it is not, below /odd.

    A Python that is too old, another system, and no venv module are what this Debian cannot be.
    """
    with fresh_hosts.running() as host:
        older = "import sys; sys.version_info = (3, 9, 2)\n"
        bare = "import importlib.util as u; u.find_spec = lambda name: None\n"
        for name, module, version in (("old", older, "3.9.2"), ("bare", bare, "3.13.5")):
            host.write(f"/odd/{name}/site/sitecustomize.py", module, user="root")
            answer = f'[ "$1" != --version ] || {{ echo Python {version}; exit; }}\n'
            answer += f"export PYTHONPATH=/odd/{name}/site"
            for program in ("python3", "python3.13"):
                text = STAND_IN.format(answer=answer)
                host.write(f"/odd/{name}/{program}", text, user="root")
        host.write(
            "/odd/bsd/uname", "#!/bin/sh\n[ $1 = -s ] && echo FreeBSD || echo arm64\n", user="root"
        )
        for number in ("1", "2"):
            host.write(f"/odd/two/airlock_wire-{number}-py3-none-any.whl", "", user="root")
        yield host


@pytest.mark.parametrize(
    ("options", "variables", "said", "hint"),
    [
        ("", "PATH=/odd/old", "Python 3.11 or newer is needed, and here is Python 3.9.2", "apt"),
        ("", "PATH=/odd/bare", "its modules venv and ensurepip are missing", "python3-venv"),
        ("", "PATH=/odd/bsd", "this is FreeBSD on arm64", "install it on the host where"),
        ("", "HOME=/root", "/root belongs to another user", "without sudo"),
        ("", "HOME=/none", "HOME is no directory", "set it"),
        ("--from /none", "", "/none is no directory", "name a checkout"),
        ("--from /tmp", "", "/tmp is no checkout, and has no wheel of airlock-wire", "name a"),
        ("--from /odd/two", "", "has several wheels of airlock-wire", "leave one"),
        ("--from . --version 1", "", "--from and --version contradict", "leave one"),
        ("--with uv", "", "there is no uv on PATH", "leave --with out"),
        ("--with rpm", "", "--with takes uv, pipx or venv", "leave it out"),
        ("--version", "", "--version needs a value", "--help"),
        ("--instal", "", "--instal is no option of this program", "--help"),
    ],
)
def test_what_is_not_fit_for_it_is_told_with_a_remedy(
    options: str, variables: str, said: str, hint: str, odd_host: FreshHost
) -> None:
    """Before anything is made."""
    before = odd_host.list_home()
    name, _, value = variables.partition("=")
    path = value if name == "PATH" else ""
    environment = {name: value} if name == "HOME" else {}
    words = ("sh", INSTALL, *shlex.split(options))
    done = odd_host.run(*words, path=path, env=environment)
    assert done.exit_code == 1
    what, remedy = done.stderr.splitlines()
    assert what.startswith("airlock: ")
    assert said in what
    assert remedy.startswith("airlock: hint: ")
    assert hint in remedy
    assert odd_host.list_home() == before


@pytest.mark.parametrize("name", ["airlock-daemon", "airlock-shim"])
@pytest.mark.parametrize("make", ["echo mine >", "ln -s /bin/true"])
def test_what_somebody_else_has_installed_stays(name: str, make: str, odd_host: FreshHost) -> None:
    """A file or a link of that name is refused, by the installation and by `--uninstall`."""
    path = f".local/bin/{name}"
    odd_host.run("sh", "-c", f"mkdir -p .local/bin; {make} {path}").succeeded()
    before = odd_host.list_home()
    for option in ("--no-init", "--uninstall"):
        done = odd_host.install(option)
        assert done.exit_code == 1
        assert f"/home/dev/{path} is there already, and neither uv, pipx nor this" in done.stderr
        assert odd_host.list_home() == before
    odd_host.run("rm", path).succeeded()


@pytest.mark.parametrize("has", ["", pytest.param("uv", marks=pytest.mark.nightly)])
def test_without_a_network_it_says_so(has: str, fresh_hosts: FreshHosts) -> None:
    """And leaves nothing behind."""
    with fresh_hosts.running() as host:
        before = host.list_home()
        done = host.install(has=has)
        assert done.exit_code == 1
        what, hint = done.stderr.splitlines()[-2:]
        assert what.endswith("failed: the package index cannot be reached, or does not have it")
        assert hint.startswith(
            "airlock: hint: see to the network and its proxy, or name a directory"
        )
        left = set(host.list_home()) - set(before)
        assert not [path for path in left if "venv." in path or "bin/" in path or "tools/a" in path]
