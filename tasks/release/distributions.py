"""Source distributions, wheels and the shim's bare binaries."""

import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

from tasks.environment import Environment
from tasks.errors import TaskError

TARGETS = ("x86_64-linux", "aarch64-linux", "any")
"""The targets of wheels of packages with native programs. ``any`` has none of its own: it is for
hosts that run no binary but need the shim's binaries for their containers."""

_SHIM_BINARIES = "airlock_shim/_bin/"


def build_distributions(
    sources: Path, out: Path, *, scratch: Path, environment: Environment, epoch: int
) -> None:
    """Put a source distribution and the wheels of each package below ``sources`` into ``out``.

    Wheels are built from the unpacked source distribution, which proves that it is complete. The
    compiler writes nothing outside ``scratch``. Raises TaskError if a build fails.
    """
    out.mkdir(parents=True, exist_ok=True)
    for description in sorted(sources.glob("packages/*/pyproject.toml")):
        made = scratch / "sdist" / description.parent.name
        variables = environment.variables({"SOURCE_DATE_EPOCH": str(epoch)})
        _run_hatchling(environment, "sdist", made, folder=description.parent, variables=variables)
        (archive,) = made.glob("*.tar.gz")
        unpacked = _unpack(archive, scratch / "unpacked")
        native = (unpacked / "hatch_build.py").exists()
        for target in TARGETS if native else ("",):
            wanted = variables | {"AIRLOCK_TARGET": target}
            _run_hatchling(environment, "wheel", out, folder=unpacked, variables=wanted)
        shutil.move(archive, out / archive.name)


def extract_binaries(distributions: Path, out: Path) -> tuple[Path, ...]:
    """Extract the shim's binaries from its wheels into ``out`` and return them, sorted."""
    (wheel,) = distributions.glob("airlock_shim-*-none-any.whl")
    made = []
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if name.startswith(_SHIM_BINARIES):
                path = out / name.removeprefix(_SHIM_BINARIES)
                path.write_bytes(archive.read(name))
                path.chmod(0o755)
                made.append(path)
    return tuple(made)


def _run_hatchling(
    environment: Environment, kind: str, out: Path, *, folder: Path, variables: dict[str, str]
) -> None:
    command = [str(environment.python), "-m", "hatchling", "build"]
    command += ["--target", kind, "--directory", str(out)]
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        target = variables.get("AIRLOCK_TARGET") or "every platform"
        raise TaskError(f"the {kind} of {folder.name} for {target} failed:\n{done.stdout}")


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack a source distribution below ``folder`` and return its folder."""
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")
