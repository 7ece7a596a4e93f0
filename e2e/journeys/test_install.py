"""`install.sh` on machines that have nothing of Airlock's: each way, each shell, and back again."""

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.command import Completed, run
from e2e.world.fresh_host import HOMES, INSTALL, WHEELS, FreshHost, FreshHosts
from e2e.world.wheels import CHECKOUT, build_wheel, rename_version

FROM = ("--from", WHEELS)
SHELLS = {
    "dash": ("/bin/sh", ".profile", "sh -lc"),
    "bash": ("/bin/bash", ".bashrc", "bash -ic"),
    "zsh": ("/usr/bin/zsh", ".zshrc", "zsh -ic"),
    "busybox sh": ("/bin/ash", ".profile", "busybox sh -lc"),
    "mksh": ("/bin/mksh", ".profile", "mksh -lc"),
}
"""Which runs the installer; of its user: SHELL, its start file, and how it starts with that."""
each_shell = pytest.mark.parametrize(
    "shell",
    [
        pytest.param(each, marks=[] if each in {"dash", "bash"} else [pytest.mark.nightly])
        for each in SHELLS
    ],
)
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
    host.run(f"{bin_directory}/airlock", "version", user=user).succeeded()
    said = host.run(f"{bin_directory}/airlock-daemon", "version", user=user).succeeded().stdout
    return said.removeprefix("airlock-daemon ")


@pytest.mark.parametrize(
    ("user", "has", "place"),
    [
        ("root", "", ".local/share/airlock/venv."),
        ("dev", "uv pipx", ".local/share/uv/tools/airlock-daemon,"),
        pytest.param(
            "dev",
            "pipx",
            ".local/share/pipx/venvs/airlock-daemon,",
            marks=pytest.mark.nightly,
        ),
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
    add = "airlock-daemon agent add my --workspace /srv --yes --print docker"
    done = host.run("bash", "-ic", f"{add}; airlock-daemon run my x", user=user)
    assert f"source={home}/.local/bin/airlock-shim,target=/usr/local/bin/git" in done.stdout
    assert "airlock: hint: start it, as a service" in done.stderr
    said = host.install("--uninstall", user=user).succeeded().stdout
    assert f"agents and log stay: {home}/.config/airlock, {home}/.local/share/airlock" in said
    assert host.run("cat", ".bashrc", user=user).out == start_file
    left = [path for path in host.list_home(user=user) if "airlock" in path]
    assert left[:2] == [".config/airlock", ".config/airlock/agents"]
    assert ".local/share/airlock" in left
    assert not [path for path in left if "/venv" in path or path.endswith("airlock-daemon")]
    assert not host.run("ls", ".local/bin", user=user).stdout
    assert "nothing is installed" in host.install("--uninstall", user=user).succeeded().stdout


def test_what_a_daemon_runs_from_is_not_removed(host: FreshHost) -> None:
    """One that a person started by hand is named. A program of the user's own stays, too."""
    host.install(*FROM, has="uv").succeeded()
    host.run("bash", "-ic", "airlock-daemon agent add my --yes").succeeded()
    start = "mkfifo said && exec 9<>said && { airlock-daemon start 2>said >/dev/null & echo $!; }"
    wait = "while read -r line <&9; do [ \"$line\" != 'airlock: ready' ] || break; done"
    words = ("bash", "-ic", f"{start} && {wait}")
    pid = host.run(*words).succeeded().stdout.split()[0]
    refused = host.install("--uninstall")
    assert refused.exit_code == 1
    assert f"is still in use by process {pid}, such as a daemon that was started" in refused.stderr
    assert f"airlock: hint: end it, and run this again: kill {pid}" in refused.stderr
    version_of(host)
    gone = f"kill {pid} && while kill -0 {pid} 2>/dev/null; do read -rt 0.1 <> <(:) || :; done"
    host.run("bash", "-c", gone).succeeded()
    host.run("sh", "-c", "rm .local/bin/airlock && echo mine > .local/bin/airlock").succeeded()
    host.install("--uninstall").succeeded()
    assert host.run("ls", ".local/bin").stdout.split() == ["airlock"]


@each_shell
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


MAC = {
    "uname": "[ $1 = -s ] && echo Darwin || echo arm64",
    "launchctl": 'echo "$*" >>/tmp/launchctl; echo "state = running"',
    # Without these words it would name other users' processes, or cut their arguments off.
    "ps": """[ "$*" = '-ww -U 1000 -o pid= -o command=' ] || exit 1
for each in /proc/[0-9]*; do echo "  ${each#/proc/} $(tr '\\0' ' ' <$each/cmdline)"; done""",
}
"""Stand-ins for the programs of macOS that the installer calls."""


@pytest.fixture(scope="module")
def mac_wheels(fresh_hosts: FreshHosts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All wheels, those of daemon and shim without a program of one platform."""
    folder = tmp_path_factory.mktemp("mac-wheels")
    folder.chmod(0o755)
    for wheel in fresh_hosts.wheels.glob("*.whl"):
        if not wheel.name.startswith(("airlock_daemon", "airlock_shim")):
            shutil.copyfile(wheel, folder / wheel.name)
    for package in ("airlock-daemon", "airlock-shim"):
        built = tmp_path_factory.mktemp(package)
        shutil.copy(build_wheel(package, built, target="any"), folder)
    return folder


@pytest.mark.parametrize("shell", ["dash"])
def test_a_mac_gets_it_without_what_is_of_linux_alone(
    shell: str, fresh_hosts: FreshHosts, mac_wheels: Path
) -> None:
    """No shim and no box; launchd restarts the service, and ps names what still runs."""
    with fresh_hosts.running(f"--volume={mac_wheels}:/mac-wheels:ro") as host:
        for name, script in MAC.items():
            host.write(f"/mac/{name}", f"#!/bin/sh\n{script}\n", user="root")

        def install(*options: str) -> Completed:
            return host.install(*options, shell=shell, has="uv", path="/mac")

        said = install("--from", "/mac-wheels", "--no-init").succeeded().stdout
        assert "bubblewrap" not in said
        assert host.run("ls", ".local/bin").stdout.split() == ["airlock", "airlock-daemon"]
        host.run(".local/bin/airlock-daemon", "version").succeeded()
        python = "/home/dev/.local/share/uv/tools/airlock-daemon/bin/python"
        code = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
        with host.container.start(python, "-c", code, cwd="/home/dev") as running:
            pid = running.wait_for("pid ")[0].removeprefix("pid ")
            said = install("--from", "/mac-wheels", "--no-init").succeeded().stdout
            assert "is still the one of before" not in said
            asked = host.run("cat", "/tmp/launchctl").stdout.splitlines()
            service = "gui/1000/airlock.daemon"
            assert asked == [f"print {service}", f"kickstart -k {service}"]
            refused = install("--uninstall", "--no-init")
            assert f"is still in use by process {pid}, such as" in refused.stderr
            host.run("sh", "-c", f"kill {pid}", user="root").succeeded()
            running.wait()
        install("--uninstall", "--no-init").succeeded()
        assert not host.run("ls", ".local/bin").stdout


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


@pytest.mark.nightly
def test_one_way_takes_the_place_of_another(host: FreshHost) -> None:
    """It keeps to the way of before unless it is told another, and then says what it removed."""
    host.install(*FROM, "--no-init").succeeded()
    kept = host.install(*FROM, "--no-init", has="uv").succeeded().stdout
    assert "installing with venv and" in kept
    assert "removed" not in kept
    changed = host.install(*FROM, "--no-init", "--with", "uv", has="uv").succeeded().stdout
    assert "removed /home/dev/.local/share/airlock/venv." in changed
    assert changed.endswith("which was installed with venv")
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


@pytest.mark.nightly
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


@pytest.mark.parametrize(
    "has",
    ["", *(pytest.param(each, marks=pytest.mark.nightly) for each in ("pipx", "uv"))],
)
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


def test_a_daemon_that_runs_is_not_bereft_of_its_files(host: FreshHost) -> None:
    """Of one that a person has started, it says so and leaves them until they are not needed."""
    host.install(*FROM).succeeded()
    host.write("/home/dev/.config/airlock/config.toml", '[commands]\nenable = ["ssh"]\n')
    start = "echo pid $$; exec /home/dev/.local/bin/airlock-daemon start"
    with host.container.start("su", "dev", "-c", start, cwd="/home/dev") as running:
        running.wait_for("no agents registered")
        said = host.install(*FROM, "--no-init").succeeded().stdout
        assert "is still the one of before: end it, and start it again" in said
        (kept,) = [line for line in said.splitlines() if " stays, since that daemon" in line]
        old = kept.split()[1]
        assert host.run("test", "-x", f"{old}/bin/airlock-daemon").exit_code == 0
        (said,) = running.wait_for("pid ")
        host.run("sh", "-c", f"kill {said.removeprefix('pid ')}").succeeded()
        running.wait()
    assert kept.endswith(f"; then: rm -r {old}")
    host.install("--uninstall").succeeded()
    assert host.run("ls", ".local/share/airlock").stdout == "airlock.log"
