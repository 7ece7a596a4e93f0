"""`airlock-shim --exec --mounted=...`: what an engine has mounted is what was looked at."""

import os
import subprocess
from pathlib import Path

import pytest

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
OVER_ITSELF = "mount --bind file file"
READ_ONLY = "mount -o remount,bind,ro file"
OTHER_BOOT = "00000000-0000-4000-8000-000000000000"


def option(looked_at: Path, at: Path, name: str = "--mounted=") -> str:
    """The option for a file or directory that is to be mounted at a path."""
    status = looked_at.stat()
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    return f"{name}{device}:{status.st_ino}:{at}"


@pytest.fixture
def places(folder: Path) -> tuple[Path, Path, Path]:
    """A workspace, something else with a file in it, and where one of them is mounted."""
    workspace, secret, target = (folder / name for name in ("app", "secret", "a b:c"))
    for each in (workspace, secret, target):
        each.mkdir()
    (workspace / "file").write_text("own")
    (secret / "file").write_text("secret")
    return workspace, secret, target


def call(
    shim: Path, mounted: Path, target: Path, *words: str, more: str = "true"
) -> subprocess.CompletedProcess[str]:
    """Execute `cat` in a mount namespace with `mounted` at `target`, after `more` in a shell."""
    begin = f'mount --bind "{mounted}" "{target}" && cd "{target}" && {more}'
    shell = f'{begin} && exec "$0" --exec "$@" cat "{target}/file"'
    namespace = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--mount"]
    done = subprocess.run(
        [*namespace, "sh", "-c", shell, shim, *words], capture_output=True, text=True, check=False
    )
    if "unshare failed" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr}")
    return done


def test_what_was_looked_at_is_there(shim: Path, places: tuple[Path, Path, Path]) -> None:
    """The command runs, with every option that is for the path of a mount."""
    workspace, _, target = places
    file = option(workspace / "file", target / "file", "--read-only=")
    words = (f"--kernel={BOOT}", option(workspace, target), file)
    done = call(shim, workspace, target, *words, more=f"{OVER_ITSELF} && {READ_ONLY}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "own", "")


@pytest.mark.parametrize("more", ["true", OVER_ITSELF])
def test_what_was_mounted_elsewhere_or_can_be_written_is_refused(
    shim: Path, places: tuple[Path, Path, Path], more: str
) -> None:
    """A file has its device and inode without a mount of its own."""
    workspace, _, target = places
    file = option(workspace / "file", target / "file", "--read-only=")
    done = call(shim, workspace, target, f"--kernel={BOOT}", file, more=more)
    assert (done.returncode, done.stdout) == (126, "")


def test_something_else_that_was_mounted_is_refused(
    shim: Path, places: tuple[Path, Path, Path]
) -> None:
    """And the command is not executed."""
    workspace, secret, target = places
    done = call(shim, secret, target, f"--kernel={BOOT}", option(workspace, target))
    assert (done.returncode, done.stdout) == (126, "")
    assert done.stderr == (
        f"airlock: {target} is not what airlock-daemon run has looked at: something was put in its "
        "place before the engine mounted it\nairlock: hint: find out on the host what replaced it, "
        "and start the container again\n"
    )
    absent = option(workspace, target / "absent")
    assert call(shim, workspace, target, absent).returncode == 126
    # So that this is seen to be an attack.
    assert call(shim, secret, target).stdout == "secret"


def test_on_another_kernel_nothing_is_compared(shim: Path, places: tuple[Path, Path, Path]) -> None:
    """Numbers of files are of the kernel that they were read on."""
    workspace, secret, target = places
    done = call(shim, secret, target, f"--kernel={OTHER_BOOT}", option(workspace, target))
    assert (done.returncode, done.stdout) == (0, "secret")


@pytest.mark.parametrize("value", ["", "1:2:3", "1:2:x:/a", "-1:2:3:/a"])
def test_an_option_that_makes_no_sense_is_refused(shim: Path, value: str) -> None:
    """Nothing is executed."""
    words = (shim, "--exec", f"--mounted={value}", "echo", "executed")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"cannot make sense of: --mounted={value}" in done.stderr


def test_a_command_may_begin_with_a_hyphen(shim: Path) -> None:
    """Behind `--`; without one there is no command."""
    words = (shim, "--exec", f"--kernel={BOOT}", "--")
    done = subprocess.run((*words, "-x"), capture_output=True, text=True, check=False)
    assert "cannot execute -x" in done.stderr
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, "--exec needs a command" in done.stderr) == (2, True)
