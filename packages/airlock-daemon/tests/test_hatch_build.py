"""The build hook: the content of wheels and source distributions, and that their binaries run."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from launching import PACKAGE, Launch, can_build, has_ended, launcher_path, run_hatchling, shell

pytestmark = [
    pytest.mark.timeout(300),  # the first build compiles from nothing
    pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux"),
    pytest.mark.skipif(not can_build(), reason="needs hatchling and ziglang"),
]

BINARY = "airlock_daemon/_native/airlock-launch"
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package elsewhere, without build results."""
    copy = tmp_path_factory.mktemp("elsewhere") / "package"
    ignored = shutil.ignore_patterns(".zig-cache", "_native", "__pycache__", "dist", "tests")
    shutil.copytree(PACKAGE, copy, ignore=ignored, symlinks=True)
    return copy


def build_wheel(folder: Path, *, target: str) -> Path:
    """The wheel of the package in `folder`."""
    shutil.rmtree(folder / "dist", ignore_errors=True)
    run_hatchling("--target", "wheel", folder=folder, target=target)
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


def extract_launcher(wheel: Path, destination: Path) -> Path:
    """Extract a wheel's launcher, with the mode that an installer sets."""
    with zipfile.ZipFile(wheel) as archive:
        information = archive.getinfo(BINARY)
        path = Path(archive.extract(information, destination))
    path.chmod(information.external_attr >> 16 & 0o777)
    return path


@pytest.mark.nightly
def test_a_wheel_for_this_machine_holds_the_launcher(folder: Path, tmp_path: Path) -> None:
    """It is executable, and byte for byte equal to one built in another folder."""
    wheel = build_wheel(folder, target="")
    arch = os.uname().machine
    assert wheel.name.endswith(f"-py3-none-manylinux_2_17_{arch}.musllinux_1_1_{arch}.whl")
    launcher = extract_launcher(wheel, tmp_path)
    assert launcher.stat().st_mode & 0o777 == 0o755
    assert launcher.read_bytes() == Path(launcher_path()).read_bytes()


@pytest.mark.nightly
def test_a_program_is_compiled_anew_only_where_something_changed(
    folder: Path, tmp_path: Path
) -> None:
    """A wheel of unchanged sources has the existing program, one of changed sources a new one."""
    build_wheel(folder, target="")
    (binary,) = (folder / ".zig-cache/bin" / os.uname().machine).glob("airlock-launch")
    before = binary.stat()
    build_wheel(folder, target="")
    assert binary.stat().st_mtime_ns == before.st_mtime_ns
    source = folder / "native" / "main.zig"
    text = source.read_text()
    try:
        source.write_text(f"{text}not Zig")
        with pytest.raises(subprocess.CalledProcessError):
            build_wheel(folder, target="")
    finally:
        source.write_text(text)
    # The failed build left nothing that could pass for the program of these sources.
    wheel = build_wheel(folder, target="")
    assert binary.stat().st_mtime_ns > before.st_mtime_ns
    assert extract_launcher(wheel, tmp_path).read_bytes() == Path(launcher_path()).read_bytes()


def test_a_wheel_for_no_platform_holds_no_launcher(folder: Path) -> None:
    """Without a launcher the daemon is a pure Python package."""
    wheel = build_wheel(folder, target="any")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert BINARY not in archive.namelist()


def test_an_unknown_target_is_refused(folder: Path) -> None:
    """A misspelt platform does not become a wheel for this one."""
    with pytest.raises(subprocess.CalledProcessError):
        build_wheel(folder, target="arm64-linux")


@pytest.mark.nightly
def test_a_wheel_for_aarch64_runs_there(folder: Path, tmp_path: Path) -> None:
    """The other processor's launcher reports exit statuses and ends descendants."""
    wheel = build_wheel(folder, target="aarch64-linux")
    assert wheel.name.endswith("-py3-none-manylinux_2_17_aarch64.musllinux_1_1_aarch64.whl")
    launcher = str(extract_launcher(wheel, tmp_path))
    command = [launcher]
    if os.uname().machine != "aarch64":
        if not QEMU:
            pytest.skip("needs qemu-user-static")
        command = [QEMU, launcher]
    with Launch("/bin/sh", *shell("pwd; exit 3"), launcher=command, directory="/usr") as launch:
        assert launch.read_output() == b"/usr\n"
        assert launch.read_reports() == [("X", 3 << 8)]
    with Launch("/nowhere", launcher=command) as launch:
        assert launch.read_reports() == [("F", 2)]
    script = "setsid sh -c 'trap \"\" HUP; echo $$; exec sleep 1000' & read x"
    with Launch("/bin/sh", *shell(script), launcher=command) as launch:
        stray = os.pidfd_open(int(launch.read_line()))
        launch.order("E", signal.SIGTERM)
        assert launch.read_reports() == [("X", signal.SIGTERM)]
        assert has_ended(stray)


@pytest.mark.nightly
def test_a_source_distribution_builds_where_the_hook_is_a_link(
    folder: Path, tmp_path: Path
) -> None:
    """It contains the hook itself, and a wheel can be built from it."""
    linked = tmp_path / "linked"
    shutil.copytree(folder, linked, ignore=shutil.ignore_patterns(".zig-cache", "_native", "dist"))
    (linked / "hatch_build.py").rename(tmp_path / "hatch_build.py")
    (linked / "hatch_build.py").symlink_to("../hatch_build.py")
    run_hatchling("--target", "sdist", folder=linked)
    [archive] = (linked / "dist").glob("*.tar.gz")
    unpacked = tmp_path / "unpacked"
    with tarfile.open(archive) as tar:
        [hook] = [member for member in tar if member.name.endswith("/hatch_build.py")]
        assert hook.isfile()
        tar.extractall(unpacked, filter="data")
    [source] = unpacked.iterdir()
    launcher = extract_launcher(build_wheel(source, target=""), tmp_path)
    assert launcher.read_bytes() == Path(launcher_path()).read_bytes()


def test_the_launchers_unit_tests_pass() -> None:
    """Zig runs the tests of the launcher's pure parts."""
    cache = str(PACKAGE / ".zig-cache")
    command = [sys.executable, "-m", "ziglang", "test", "native/tests.zig"]
    command += ["--cache-dir", cache, "--global-cache-dir", cache]
    subprocess.run(command, cwd=PACKAGE, check=True)
