"""``./dev build``: reproducible distributions, binaries and images in ``dist/``."""

import argparse
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

from tasks.environment import Environment, prepare_environment
from tasks.errors import TaskError
from tasks.hatch import hold_lock, install_tool
from tasks.lock.declared import IMAGES
from tasks.lock.locked import write_locked
from tasks.places import HATCH, REPORTS, ROOT
from tasks.release.channels import write_channels
from tasks.release.checksums import compare_folders, write_checksums
from tasks.release.deb import PROCESSORS, Deb, build_deb
from tasks.release.distributions import build_distributions, extract_binaries
from tasks.release.images import build_image, list_images, why_no_images, write_context
from tasks.release.recipes import REQUIREMENTS
from tasks.release.sbom import write_sbom
from tasks.release.sources import copy_sources, read_epoch
from tasks.release.tag import Package, find_release, list_packages, read_notes
from tasks.release.urls import add_urls
from tasks.release.wheelhouse import fill_wheelhouse
from tasks.report import Outcome, print_summary, read_counts

DIST = ROOT / "dist"
_REBUILT = HATCH / "rebuilt"
_IN_IMAGES = ("airlock_wire-", "airlock_modules-", "airlock_daemon-")
_INSTALL_TESTS = "tasks/dist_tests"
_INSTALLER = "install.sh"
_BESIDE = {
    "airlock-shim": ["airlock-shim-linux-*"],
    "airlock-daemon": [_INSTALLER, "*.deb", "channels/helm/*.tgz", REQUIREMENTS],
}
"""A package's release files besides its distributions: patterns of names in ``dist/``."""


@dataclass(frozen=True)
class _Plan:
    """The inputs and outputs of one build."""

    environment: Environment
    epoch: int
    with_images: bool
    base: str


def run_build(arguments: Sequence[str]) -> int:
    """Build, run the requested checks, and return the exit status; replaces ``dist/``."""
    options = _read_options(arguments)
    release = find_release(options.tag) if options.tag else None
    if release is not None and not options.repository:
        raise TaskError("a release says where it comes from: --repository https://HOST/OWNER/REPO")
    obstacle = "--no-images" if options.no_images else why_no_images()
    if obstacle and os.environ.get("REQUIRE_DOCKER") == "1" and not options.no_images:
        raise TaskError(f"images are required, and {obstacle}")
    environment = prepare_environment("default")
    base = _find_base(environment, options.base) if obstacle is None else ""
    plan = _Plan(environment, read_epoch(), obstacle is None, base)
    outcomes = [
        Outcome("distributions", "passed", f"dated {plan.epoch}"),
        Outcome("images", "skipped", obstacle) if obstacle else Outcome("images", "passed"),
    ]
    with tempfile.TemporaryDirectory(prefix="airlock-build-") as folder:
        sources = Path(folder, "sources")
        copy_sources(sources)
        if options.repository:
            add_urls(sources, options.repository)
        _build(plan, sources, Path(folder), DIST)
        if options.check:
            outcomes.append(_rebuild(plan, sources))
    if options.check or options.install:
        outcomes.append(_install(plan))
    if release is not None:
        gather_release(release, DIST / "release", epoch=plan.epoch)
        outcomes.append(Outcome("release", "passed", f"{release.name} {release.version}"))
    return print_summary("./dev build", outcomes)


def _read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev build",
        description="Build all packages, the shim's binaries and the images into dist/.",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="build again in another folder and compare every byte; then --install",
    )
    parser.add_argument(
        "--install", action="store_true", help="install from dist/ alone, and try what is installed"
    )
    parser.add_argument("--no-images", action="store_true", help="leave out the images")
    parser.add_argument(
        "--base",
        default="",
        metavar="IMAGE",
        help="what the daemon's image starts from; 'local' is a Debian that is made here",
    )
    parser.add_argument(
        "--tag",
        default="",
        help="demand that the sources fit this release's tag, and gather what it publishes",
    )
    parser.add_argument(
        "--repository",
        default="",
        metavar="URL",
        help="https://HOST/OWNER/REPO, which the packages' metadata then names; releases need it",
    )
    return parser.parse_args(arguments)


def _find_base(environment: Environment, wanted: str) -> str:
    """Return the image for ``wanted``, built if needed; "" leaves it to the Dockerfile."""
    if wanted != "local":
        return wanted
    command = [str(environment.python), "-m", "tasks.release.local_base"]
    variables = environment.variables()
    done = subprocess.run(command, cwd=ROOT, env=variables, check=False, text=True, stdout=PIPE)
    if done.returncode:
        raise TaskError("making the local base image failed, see above")
    return done.stdout.strip()


def _build(plan: _Plan, sources: Path, scratch: Path, destination: Path) -> None:
    """Build everything below ``scratch`` and then move it to ``destination``, all or nothing."""
    made = scratch / "dist"
    _say("distributions")
    build_distributions(
        sources, made, scratch=scratch, environment=plan.environment, epoch=plan.epoch
    )
    distributions = sorted(made.iterdir())
    binaries = extract_binaries(made, made)
    context = made / "image"
    fill_wheelhouse(context / "wheels", environment=plan.environment)
    wheels = [
        path for path in distributions if path.name.startswith(_IN_IMAGES) and path.suffix == ".whl"
    ]
    write_context(context, wheels=wheels, binaries=binaries, epoch=plan.epoch)
    channels = write_channels(made / "channels", binaries=binaries, epoch=plan.epoch)
    archives = list(_build_images(plan, made)) if plan.with_images else []
    debs = list(_build_debs(plan, made))
    installer = Path(shutil.copyfile(ROOT / _INSTALLER, made / _INSTALLER))
    installer.chmod(0o755)
    needs = Path(shutil.copyfile(write_locked(IMAGES), made / REQUIREMENTS))
    needs.chmod(0o644)
    beside = [*channels, *debs, installer, needs]
    write_checksums(made, [*distributions, *binaries, *archives, *beside])
    shutil.rmtree(destination, ignore_errors=True)
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, destination)


def _build_debs(plan: _Plan, made: Path) -> Iterator[Path]:
    if shutil.which("dpkg-deb") is None:
        _say("no package for Debian: there is no dpkg-deb")
        return
    versions = {package.name: package.version for package in list_packages()}
    for processor in PROCESSORS:
        deb = Deb(
            wheels=[made, made / "image" / "wheels"],
            version=versions["airlock-daemon"],
            epoch=plan.epoch,
            processor=processor,
        )
        yield build_deb(deb, made, environment=plan.environment)


def _build_images(plan: _Plan, made: Path) -> Iterator[Path]:
    versions = {package.name: package.version for package in list_packages()}
    for image in list_images():
        _say(f"{image.name} for {image.platform}")
        yield build_image(
            image,
            made / "image",
            made / "images",
            version=versions[image.name],
            epoch=plan.epoch,
            base=plan.base,
        )


def _rebuild(plan: _Plan, sources: Path) -> Outcome:
    """Build again with another folder, time zone and umask, and compare."""
    _say("again, in another folder")
    with tempfile.TemporaryDirectory(prefix="airlock-") as folder, _other_surroundings():
        scratch = Path(folder, "one", "more")
        copied = shutil.copytree(sources, scratch / "copied", symlinks=True)
        _build(plan, copied, scratch, _REBUILT)
    differences = compare_folders(DIST, _REBUILT)
    if differences:
        print(*differences, sep="\n")
        return Outcome("rebuild", "failed", f"compare dist/ with {_REBUILT.relative_to(ROOT)}/")
    shutil.rmtree(_REBUILT)
    return Outcome("rebuild", "passed", "every byte is the same")


@contextmanager
def _other_surroundings() -> Iterator[None]:
    mask, zone = os.umask(0o077), os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Chatham"
    try:
        yield
    finally:
        os.umask(mask)
        del os.environ["TZ"]
        if zone is not None:
            os.environ["TZ"] = zone


def _install(plan: _Plan) -> Outcome:
    _say("installing from dist/ alone")
    command = [str(plan.environment.python), "-m", "pytest", _INSTALL_TESTS]
    command += [f"--distributions={DIST}"]
    command += [f"--base={plan.base}"] if plan.with_images else ["--no-images"]
    report = REPORTS / "dist.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    status = plan.environment.run([*command, f"--junit-xml={report}"])
    counts = read_counts(report)
    if status or counts is None:
        return Outcome("install", "failed", f"{counts or 'no report'}, see above")
    return Outcome("install", "passed", str(counts), counts.skips)


def gather_release(package: Package, folder: Path, *, epoch: int) -> None:
    """Put the files that a release of ``package`` publishes into ``folder``, from ``dist/``.

    ``pypi/`` is for the index; ``assets/`` with a bill of materials and checksums, and
    ``notes.md``, for the release.
    """
    distributions = sorted(DIST.glob(f"{package.file_stem}[-.]*"))
    patterns = _BESIDE.get(package.name, [])
    beside = sorted(path for pattern in patterns for path in DIST.glob(pattern))
    for name, paths in (("pypi", distributions), ("assets", [*distributions, *beside])):
        (folder / name).mkdir(parents=True)
        for path in paths:
            shutil.copy2(path, folder / name)
    assets = folder / "assets"
    with hold_lock():
        uv = install_tool("lock") / "bin" / "uv"
    wheels = (DIST, DIST / "image" / "wheels")
    write_sbom(package, assets, wheels=wheels, uv=uv, epoch=epoch)
    write_checksums(assets, sorted(assets.iterdir()))
    (folder / "notes.md").write_text(read_notes(package))


def _say(what: str) -> None:
    print(f"\n==> {what}", flush=True)
