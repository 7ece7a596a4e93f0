"""Tests of `airlock_daemon.setup.trust`: who else could write what is believed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airlock_daemon.errors import SetupError
from airlock_daemon.setup.generation import Setup
from airlock_daemon.setup.trust import find_untrusted
from airlock_daemon.setup.trusted_command import find_command_problem
from commanding import run
from running import Daemon
from worlds import World

NOBODY = 65534

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def told(*paths: Path) -> list[str]:
    return [str(fault) for fault in find_untrusted(map(str, paths))]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "deep" / "er" / "config.toml"
    file.parent.mkdir(parents=True)
    file.touch(mode=0o644)
    return file


def test_what_only_its_owner_writes_is_trusted(file: Path) -> None:
    """Below a sticky directory that everybody writes, as /tmp is; and so is what is not there."""
    file.parents[1].chmod(0o1777)
    assert told(file, file.parent / "missing" / "too") == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_step_counts(file: Path, number: int) -> None:
    """The file, and each directory on the way to it; the remedy is the command to run."""
    step = (file, *file.parents)[number]
    step.chmod(0o777)
    assert told(file) == [f"{step}: is writable for everybody; chmod o-w {step}"]


def test_a_sticky_directory_is_no_place_for_what_is_to_come(file: Path) -> None:
    """In one that is meant itself, as an entry of PATH is, everybody makes new files."""
    file.parent.chmod(0o1777)
    assert told(file) == []
    assert told(file.parent) == [
        f"{file.parent}: is writable for everybody; chmod o-w {file.parent}"
    ]


def test_the_way_of_links_counts_too(file: Path, tmp_path: Path) -> None:
    """Each directory that a link lies in or leads through, however it is written."""
    loose, hop = tmp_path / "loose", tmp_path / "hop"
    loose.mkdir()
    loose.chmod(0o777)
    (loose / "link").symlink_to(f"../{file.relative_to(tmp_path)}")
    hop.symlink_to("loose/../loose/link")
    assert told(hop) == [f"{loose}: is writable for everybody; chmod o-w {loose}"]
    hop.unlink()
    hop.symlink_to(hop.name)
    assert told(hop) == []


def test_a_step_is_told_once(file: Path) -> None:
    """However many files are found below it."""
    file.parent.chmod(0o777)
    assert len(told(file, file.parent / "other", file.parent)) == 1


@is_root
@pytest.mark.parametrize("gid", [NOBODY, 4_000_000_000])
def test_a_group_of_others_is_not_trusted(file: Path, gid: int) -> None:
    """Nor one that has no name here."""
    os.chown(file, 0, gid)
    file.chmod(0o664)
    (fault,) = told(file)
    assert "is writable for the group" in fault
    assert fault.endswith(f"chmod g-w {file}")


@is_root
def test_a_private_group_is_trusted(file: Path) -> None:
    """The user's own, as many systems make one, and an empty one of the system."""
    file.chmod(0o664)
    for gid in (0, 50):
        os.chown(file, 0, gid)
        assert told(file) == []


@is_root
def test_what_belongs_to_somebody_else_is_not_trusted(file: Path) -> None:
    """Files, directories and links; only root and the user who asks are believed."""
    os.chown(file.parent, NOBODY, 0)
    link = file.parents[1] / "link"
    link.symlink_to(file)
    os.chown(link, NOBODY, 0, follow_symlinks=False)
    found = told(link)
    assert [fault.partition(":")[0] for fault in found] == [str(link), str(file.parent)]
    assert all("who could change it; sudo chown -h 0" in fault for fault in found)


@is_root
def test_what_is_mounted_read_only_is_trusted(file: Path) -> None:
    """As a container has its host's files, whoever they belong to there."""
    os.chown(file, NOBODY, NOBODY)
    file.chmod(0o666)
    code = (
        "import sys\n"
        "from airlock_daemon.setup.trust import find_untrusted\n"
        "print(len([*find_untrusted(sys.argv[1:])]))\n"
    )
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3" "$4"'
    words = ["unshare", "-m", "sh", "-c", script, "sh"]
    words += [str(file.parent), sys.executable, code, str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this root cannot mount")
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert len(told(file)) == 1


@pytest.mark.parametrize(
    "name",
    [
        *("config/config.toml", "config", "agents.toml", "agents/my", "agents/my/airlock.toml"),
        *("agents/my/commands", "agents/my/commands/sh.toml"),
    ],
)
def test_what_decides_must_be_its_owners_alone(world: World, name: str) -> None:
    """Configuration, registration, agents and modules that others could write are faults."""
    place = world.root / name
    place.chmod(place.stat().st_mode | 0o002)
    with pytest.raises(SetupError) as caught:
        world.load()
    assert [str(each) for each in caught.value.faults] == told(place)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"])
@pytest.mark.parametrize("by", ["daemon", "profile"])
def test_authorities_that_others_write_are_refused(world: World, variable: str, *, by: str) -> None:
    """In a workspace, by a link there, or in a directory for everybody; a remedy names each."""
    loose, own = world.root / "loose", world.root / "own"
    for folder in (loose, own):
        folder.mkdir(mode=0o755)
        (folder / "ca.pem").touch(mode=0o644)
    loose.chmod(0o777)
    (world.workspace / "link").symlink_to(own)
    mounts = f'[workspace]\nmounts = {{ "/w" = "{world.workspace}" }}\n'

    def load(folder: Path) -> str:
        named = folder / "ca.pem" if variable != "SSL_CERT_DIR" else f"/nothing:{folder}"
        world.write_profile(mounts)
        if by == "profile":
            world.write_profile(f'{mounts}[env]\nset = {{ {variable} = "{named}" }}\n')
        variables = {variable: str(named)} if by == "daemon" else {}
        try:
            Setup.load(world.locations, variables=variables)
        except SetupError as error:
            return "\n".join(map(str, error.faults))
        return ""

    assert load(own) == ""
    loose.chmod(0o1777)
    # A file that is missing may be anybody's later, also in a sticky directory.
    assert "where others can put files" in load(loose / "missing")
    loose.chmod(0o777)
    assert f"chmod o-w {loose}" in load(loose)
    assert f"{variable}: " in load(world.workspace / "link")
    assert "is reached through a workspace; move it out of there" in load(world.workspace / "link")
    (own / "0.pem").symlink_to(world.workspace / "ca.pem")
    assert (f'"{own}/0.pem" is reached' in load(own)) == (variable == "SSL_CERT_DIR")


def test_authorities_of_a_shell_are_not_the_daemons(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service may have others: check and reload run, and a start from that shell is refused."""
    loose = world.workspace / "ca.pem"
    told = f'SSL_CERT_FILE: "{loose}" is reached through a workspace'
    world.write_profile(f'[workspace]\nmounts = {{ "/w" = "{world.workspace}" }}\n')
    with Daemon(world):
        monkeypatch.setenv("SSL_CERT_FILE", str(loose))
        assert told not in run(world, "check").stdout
        assert run(world, "reload").stdout == "reloaded: no agent has changed\n"
    with pytest.raises(AssertionError, match=re.escape(told)):
        Daemon(world)


def test_what_is_only_kept_is_a_finding(world: World) -> None:
    """Sockets and log decide nothing: the daemon starts, and says what others could do."""
    sockets = world.config / "sockets"
    for place in (sockets, world.log.parent):
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
    found = [str(warning) for warning in world.load().warnings]
    assert [each for each in found if "writable for everybody" in each] == told(
        sockets, world.log.parent
    )


@pytest.mark.parametrize(
    "argument", ["{}", "--file={}", ". '{}'", 'exec "{}"', "printf x; . {escaped}"]
)
def test_a_workspace_with_a_space_is_one_too(tmp_path: Path, argument: str) -> None:
    """A command that runs a script there runs what an agent has written."""
    workspace = tmp_path / "my project"
    workspace.mkdir()
    script = str(workspace / "script")
    said = argument.format(script, escaped=script.replace(" ", "\\ "))
    problem = find_command_problem("/bin/sh", ("-c", said), [str(workspace)])
    assert problem is not None
    assert "reached through a workspace" in problem[0]
