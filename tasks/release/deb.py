"""The package for Debian: the daemon, its libraries and the shim, for every user of a machine.

The libraries are those of the lock, since Debian's own are older than what the daemon needs. They
are for one version of Python, as packages of Debian are.
"""

import gzip
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.environment import Environment
from tasks.errors import TaskError
from tasks.places import ROOT

PYTHON = (3, 13)
"""The Python of the Debian that the package is for: 13, trixie."""
PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}
"""Debian's names of the processors."""
_RECIPE = ROOT / "channels" / "deb"
_HOME = "usr/lib/airlock"
_PROGRAM = f"""\
#!/{_HOME}/bin/python -I
import sys

from airlock_daemon.admin.cli import main

sys.exit(main())
"""
_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """What a package is made from: folders of wheels, and the time that dates every file."""

    wheels: Sequence[Path]
    version: str
    epoch: int
    processor: str
    maintainer: str = "The Airlock authors <airlock@packages.invalid>"


def build_deb(deb: Deb, folder: Path, *, environment: Environment) -> Path:
    """Build ``folder``/airlock_VERSION_ARCHITECTURE.deb and return it; needs ``dpkg-deb``.

    Raises TaskError.
    """
    architecture = PROCESSORS[deb.processor]
    made = folder / f"airlock_{deb.version}_{architecture}.deb"
    root = folder / f"deb-{architecture}"
    _install(deb, root / _HOME, environment=environment)
    _link(root, deb.processor)
    _describe(deb, root, architecture)
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        os.utime(path, (deb.epoch, deb.epoch), follow_symlinks=False)
    words = ["dpkg-deb", "--root-owner-group", "-z1", "--build", str(root), str(made)]
    variables = {**os.environ, "SOURCE_DATE_EPOCH": str(deb.epoch)}
    if subprocess.run(words, env=variables, stdout=subprocess.DEVNULL, check=False).returncode:
        raise TaskError("dpkg-deb failed, see above")
    shutil.rmtree(root)
    return made


def _install(deb: Deb, home: Path, *, environment: Environment) -> None:
    """Lay out a virtual environment, which is a link to Debian's Python and a directory."""
    version = ".".join(map(str, PYTHON))
    packages = home / "lib" / f"python{version}" / "site-packages"
    command = [str(environment.python), "-m", "pip", "install", "--quiet", "--isolated"]
    command += ["--no-index", "--no-compile", "--no-cache-dir"]
    command += [f"--find-links={wheels}" for wheels in deb.wheels]
    command += [f"--target={packages}", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--python-version={version}", "airlock-daemon[run]"]
    command += [f"--platform={tag}_{deb.processor}" for tag in _TAGS]
    if environment.run([*command, "--disable-pip-version-check", "--root-user-action=ignore"]):
        raise TaskError("installing the wheels failed, see above")
    shutil.rmtree(packages / "bin")
    for unused in (*packages.rglob("*.pyi"), *packages.glob("*.dist-info/RECORD")):
        unused.unlink()
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(f"/usr/bin/python{version}")
    (home / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n")
    _write(home / "bin" / "airlock", _PROGRAM, mode=0o755)


def _link(root: Path, processor: str) -> None:
    """Put the programs on PATH."""
    version = ".".join(map(str, PYTHON))
    packages = f"../lib/airlock/lib/python{version}/site-packages"
    programs = root / "usr" / "bin"
    programs.mkdir()
    for name in ("airlock", "airlock-daemon"):
        (programs / name).symlink_to("../lib/airlock/bin/airlock")
    shim = f"airlock_shim/_bin/airlock-shim-linux-{processor}"
    (programs / "airlock-shim").symlink_to(f"{packages}/{shim}")


def _describe(deb: Deb, root: Path, architecture: str) -> None:
    """Write what dpkg reads, and the documents that Debian's policy demands."""
    major, minor = PYTHON
    values = {
        "VERSION": deb.version,
        "ARCHITECTURE": architecture,
        "MAINTAINER": deb.maintainer,
        "NEXT_PYTHON": f"{major}.{minor + 1}",
        "PYTHON": f"{major}.{minor}",
    }
    _write(root / "DEBIAN" / "control", _fill(_RECIPE / "control", values))
    for script in ("postinst", "prerm"):
        _write(root / "DEBIAN" / script, (_RECIPE / script).read_text(), mode=0o755)
    documents = root / "usr" / "share" / "doc" / "airlock"
    _write(documents / "copyright", (_RECIPE / "copyright").read_text())
    day = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(deb.epoch))
    entry = f"airlock ({deb.version}) stable; urgency=medium\n\n  * A release of Airlock.\n\n"
    entry += f" -- {deb.maintainer}  {day}\n"
    (documents / "changelog.gz").write_bytes(gzip.compress(entry.encode(), 9, mtime=0))
    _write(
        root / "usr" / "share" / "lintian" / "overrides" / "airlock",
        (_RECIPE / "lintian-overrides").read_text(),
    )


def _fill(template: Path, values: Mapping[str, str]) -> str:
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
