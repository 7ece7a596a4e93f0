"""`install.sh` on machines that have nothing of Airlock's: each way, each shell, and back again."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.command import run
from e2e.world.fresh_host import HOMES, INSTALL, WHEELS, FreshHost, FreshHosts
from e2e.world.wheels import CHECKOUT, rename_version

FROM = ("--from", WHEELS)
SHELLS = {
    "dash": ("/bin/sh", ".profile", "sh -lc"),
    "bash": ("/bin/bash", ".bashrc", "bash -ic"),
    "zsh": ("/usr/bin/zsh", ".zshrc", "zsh -ic"),
    "busybox sh": ("/bin/ash", ".profile", "busybox sh -lc"),
}
"""Which runs the installer; of its user: SHELL, its start file, and how it starts with that."""
INSTALLS = "sh install.sh --from ."
INDEX = "/index/simple"
PORT = 8000
VARIABLES = {
    "PIP_INDEX_URL": f"http://127.0.0.1:{PORT}/simple",
    "UV_DEFAULT_INDEX": f"http://127.0.0.1:{PORT}/simple",
}


@pytest.fixture
def host(fresh_hosts: FreshHosts) -> Iterator[FreshHost]:
    """Return a machine without a network."""
    with fresh_hosts.running() as host:
        yield host


def version_of(host: FreshHost, *, user: str = "dev") -> str:
    """Return the version of what is installed, which has the shim beside it."""
    bin_directory = f"{HOMES[user]}/.local/bin"
    host.run(f"{bin_directory}/airlock-shim", "--version", user=user).succeeded()
    said = host.run(f"{bin_directory}/airlock-daemon", "version", user=user).succeeded().stdout
    return said.removeprefix("airlock-daemon ")


@pytest.mark.parametrize(
    ("user", "has", "place"),
    [
        ("root", "", ".local/share/airlock/venv."),
        ("dev", "pipx", ".local/share/pipx/venvs/airlock-daemon,"),
        ("dev", "uv pipx", ".local/share/uv/tools/airlock-daemon,"),
    ],
)
def test_it_installs_twice_and_uninstalls(user: str, has: str, place: str, host: FreshHost) -> None:
    """By uv, by pipx, or by neither, from wheels alone; at last only what is the user's stays."""
    home = HOMES[user]
    start_file = host.run("cat", ".bashrc", user=user).out
    for _ in range(2):
        said = host.install(*FROM, user=user, has=has).succeeded().stdout
        assert f" in {home}/{place}" in said
        bashrc = host.run("cat", ".bashrc", user=user).out
        assert bashrc.startswith(start_file)
        assert bashrc[len(start_file) :].count(b"\n") == 1
    version_of(host, user=user)
    say = "airlock-daemon agent add my --workspace /srv --yes && airlock-daemon run my x"
    done = host.run("bash", "-ic", say, user=user)
    assert f"source={home}/.local/bin/airlock-shim,target=/usr/local/bin/git" in done.stdout
    assert "airlock: hint: start it, as a service" in done.stderr
    said = host.install("--uninstall", user=user).succeeded().stdout
    assert f"agents and log stay: {home}/.config/airlock, {home}/.local/share/airlock" in said
    assert host.run("cat", ".bashrc", user=user).out == start_file
    left = [path for path in host.list_home(user=user) if "airlock" in path]
    assert left[:2] == [".config/airlock", ".config/airlock/agents"]
    assert left[-1] == ".local/share/airlock"
    assert not host.run("ls", ".local/bin", user=user).stdout
    assert "nothing is installed" in host.install("--uninstall", user=user).succeeded().stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_runs_it_and_finds_what_it_installs(shell: str, host: FreshHost) -> None:
    """A line in the start file of the user's own shell is told, and taken away again."""
    own, start_file, start = SHELLS[shell]
    host.write(f"/home/dev/{start_file}", "before=1")
    said = host.install(*FROM, "--no-init", shell=shell, has="uv", env={"SHELL": own}).succeeded()
    assert f"added a line to /home/dev/{start_file}; in this shell: export PATH=" in said.stdout
    found = host.run(*start.split(), "echo $before; command -v airlock-daemon", env={"SHELL": own})
    assert found.stdout.split() == ["1", "/home/dev/.local/bin/airlock-daemon"]
    host.install("--uninstall", shell=shell).succeeded()
    assert host.run("cat", start_file).out == b"before=1\n"


def test_of_a_download_that_was_cut_off_nothing_runs(host: FreshHost) -> None:
    """After each of its lines, and after each character of the last one, in each shell."""
    before = host.list_home()
    cut = """
    export AIRLOCK_NO_INIT=1
    lines=$(wc -l <"$1"); bytes=$(wc -c <"$1"); last=$(tail -n 1 "$1" | wc -c); count=0
    for number in $(seq 1 $((lines - 1))); do head -n "$number" "$1" >part; run "$@" || exit 1; done
    for number in $(seq $((bytes - last + 1)) $((bytes - 2))); do
      head -c "$number" "$1" >part; run "$@" || exit 1
    done
    rm part; echo "$count were cut"
    """
    run = """
    run() {
      shift; count=$((count + 1)); said=$("$@" part --from /wheels 2>/dev/null </dev/null)
      [ -z "$said" ] || { echo "after $number: $said"; return 1; }
    }
    """
    for shell in SHELLS:
        words = ("sh", "-c", run + cut, "sh", INSTALL, *shell.split())
        said = host.run(*words).succeeded().stdout
        assert int(said.removesuffix(" were cut")) > 300, said
        assert host.list_home() == before
        assert host.install("--help", shell=shell).stdout.startswith("Usage: sh install.sh")


def test_one_way_takes_the_place_of_another(host: FreshHost) -> None:
    """It keeps to the way of before unless it is told another, and then says what it removed."""
    host.install(*FROM, "--no-init").succeeded()
    kept = host.install(*FROM, "--no-init", has="uv").succeeded().stdout
    assert "installing with venv and" in kept
    assert "removed" not in kept
    changed = host.install(*FROM, "--no-init", "--with", "uv", has="uv").succeeded().stdout
    assert "removed /home/dev/.local/share/airlock/venv." in changed
    assert "which was installed with venv\n" in changed
    assert not host.run("ls", ".local/share/airlock").stdout
    version_of(host)


def test_path_is_left_alone_where_it_need_not_or_must_not_be_changed(host: FreshHost) -> None:
    """Where it has the directory, where it is told so, and where there is no way to do it."""
    before = host.run("cat", ".bashrc").out
    for variables, said in (
        ({"PATH": "/home/dev/.local/bin:/opt/uv:/usr/bin:/bin"}, ""),
        ({"AIRLOCK_NO_MODIFY_PATH": "1"}, "is not on your PATH: add it in your shell's start file"),
        ({"SHELL": "/usr/bin/fish"}, "is not on your PATH: add it in your shell's start file"),
        ({"SHELL": "/usr/bin/zsh", "ZDOTDIR": "/usr"}, "/usr/.zshrc cannot be written: add to it:"),
    ):
        done = host.install(*FROM, "--no-init", has="uv", env=variables).succeeded()
        assert said in done.stdout
        assert ("PATH" in done.stdout) == bool(said)
    assert host.run("cat", ".bashrc").out == before


def test_the_line_of_the_readme_installs_a_checkout(alone: None, tmp_path: Path) -> None:
    """On this machine, for a home that is empty: building asks the package index for a compiler."""
    (line,) = (
        line for line in (CHECKOUT / "README.md").read_text().splitlines() if INSTALLS in line
    )
    environment = {**os.environ, "HOME": str(tmp_path), "AIRLOCK_NO_INIT": "1"}
    words = [*shlex.split(line), "--with", "venv"]
    run(words, cwd=str(CHECKOUT), env=environment, longest_s=600).succeeded()
    made = tmp_path / ".local/bin"
    assert run((str(made / "airlock-daemon"), "version")).succeeded().stdout
    said = run((str(made / "airlock-daemon"), "shim", "--print-path", "--arch=arm64"))
    assert Path(said.succeeded().stdout).is_relative_to(tmp_path)
    assert run((str(made / "airlock-shim"), "--version")).succeeded().stdout


@pytest.fixture
def index(fresh_hosts: FreshHosts, ground: Path, tmp_path: Path) -> Iterator[FreshHost]:
    """Return a machine with a package index of its own, which has an earlier release, too."""
    folder = tmp_path / "simple"
    for wheel in fresh_hosts.wheels.glob("*.whl"):
        project = folder / wheel.name.partition("-")[0].replace("_", "-")
        project.mkdir(parents=True, exist_ok=True)
        (project / wheel.name).symlink_to(f"{WHEELS}/{wheel.name}")
        if project.name == "airlock-daemon":
            rename_version(wheel, project, "0.0.1")
    # pipx asks for a pip of its own, and Debian's Python has one for new environments.
    (folder / "pip").symlink_to("/usr/share/python-wheels")
    with fresh_hosts.running(f"--volume={folder}:{INDEX}:ro") as host:
        serve = ("python3", "-um", "http.server", "--bind=127.0.0.1", str(PORT))
        with host.container.start(*serve, cwd="/index") as server:
            server.wait_for("Serving HTTP")
            yield host


@pytest.mark.parametrize("has", ["", "pipx", "uv"])
def test_an_upgrade_from_the_index_takes_place_or_changes_nothing(
    has: str, index: FreshHost
) -> None:
    """From a pinned release to the newest; what the index does not have leaves all as it was."""
    index.install("--version", "0.0.1", "--no-init", has=has, env=VARIABLES).succeeded()
    assert version_of(index) == "0.0.1"
    done = index.install("--version", "999", "--no-init", has=has, env=VARIABLES)
    assert done.exit_code == 1
    assert "airlock: installing airlock-daemon[run]==999 failed" in done.stderr
    assert version_of(index) == "0.0.1"
    index.install("--no-init", has=has, env=VARIABLES).succeeded()
    assert version_of(index) not in {"", "0.0.1"}


@pytest.mark.parametrize("has", ["", "uv"])
def test_without_a_network_it_says_so(has: str, host: FreshHost) -> None:
    """And leaves nothing behind."""
    before = host.list_home()
    done = host.install(has=has)
    assert done.exit_code == 1
    what, hint = done.stderr.splitlines()[-2:]
    assert what.endswith("failed: the package index cannot be reached, or does not have it")
    assert hint.startswith("airlock: hint: see to the network and its proxy, or name a directory")
    left = set(host.list_home()) - set(before)
    assert not [path for path in left if "venv." in path or "bin/" in path or "tools/a" in path]


def test_root_gets_bubblewrap_only_if_it_asks_for_that(fresh_hosts: FreshHosts) -> None:
    """Others, and root without `--yes`, are shown the line."""
    with fresh_hosts.running(network="bridge") as host:
        said = host.install(*FROM, "--no-init", has="uv", user="root").succeeded().stdout
        line = "is missing; as root: apt-get install -y bubblewrap"
        assert line in said
        assert host.run("sh", "-c", "command -v bwrap").exit_code != 0
        host.install(*FROM, "--no-init", "--yes", has="uv", user="root").succeeded()
        host.run("bwrap", "--version").succeeded()
        said = host.install(*FROM, "--no-init", has="uv").succeeded().stdout
        assert "bubblewrap" not in said


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
            "/odd/mac/uname", "#!/bin/sh\n[ $1 = -s ] && echo Darwin || echo arm64\n", user="root"
        )
        for number in ("1", "2"):
            host.write(f"/odd/two/airlock_wire-{number}-py3-none-any.whl", "", user="root")
        yield host


@pytest.mark.parametrize(
    ("options", "variables", "said", "hint"),
    [
        ("", "PATH=/odd/old", "Python 3.11 or newer is needed, and here is Python 3.9.2", "apt"),
        ("", "PATH=/odd/bare", "its modules venv and ensurepip are missing", "python3-venv"),
        ("", "PATH=/odd/mac", "and this is Darwin on arm64", "install it on the Linux host"),
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
