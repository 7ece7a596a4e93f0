"""``./dev release``: everything that a release of the packages publishes, by one command."""

import argparse
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from tasks.build import DIST, gather_release, run_build
from tasks.errors import TaskError
from tasks.places import ROOT
from tasks.release.changelog import UNRELEASED, cut_release, read_sections
from tasks.release.channels import fill_versions
from tasks.release.checksums import NAME
from tasks.release.recipes import Published, write_recipes
from tasks.release.sources import read_epoch
from tasks.release.tag import Package, list_packages

# What others need is published before them.
_ORDER = ("airlock-wire", "airlock-modules", "airlock-shim", "airlock-daemon")
_NAMESPACE = "airlock-release"
_SIGNER = "release"


def run_release(arguments: Sequence[str]) -> int:
    """Cut the changelogs, build, and gather each release in dist/release/TAG; the exit status.

    The manifests in ``channels/`` and the page about Kubernetes get the packages' versions.
    """
    options = _read_options(arguments)
    packages = list(_choose(options.package))
    versions = {package.name: package.version for package in list_packages()}
    texts = fill_versions(versions, ROOT)
    for package in packages:
        log = package.folder / "CHANGELOG.md"
        texts[log] = cut_release(log.read_text(), package.version, options.day)
    before = {path: path.read_text() for path in texts}
    status = 1
    try:
        for path, text in texts.items():
            path.write_text(text)
            if text != before[path]:
                print(f"wrote {path.relative_to(ROOT)}")
        status = _make(packages, options)
    finally:
        # Of a release that was not made, the next run would find nothing to release.
        if options.rehearse or status:
            for path, text in before.items():
                path.write_text(text)
    if status == 0 and not options.rehearse:
        print("\nCommit the changelogs, and what has changed in channels/ and docs/.")
        print("When that has landed, push these tags, in this order:")
        print(f"  {' '.join(package.tag for package in packages)}")
    return status


def _make(packages: Sequence[Package], options: argparse.Namespace) -> int:
    words = ["--no-images", "--repository", options.repository]
    if status := run_build(words if options.rehearse else ["--check", *words]):
        return status
    for package in packages:
        folder = DIST / "release" / package.tag
        gather_release(package, folder, epoch=read_epoch())
        if options.sign is not None:
            sign(folder / "assets" / NAME, options.sign)
        print(f"{folder.relative_to(ROOT)}: {len([*(folder / 'assets').iterdir()])} files")
    if {*packages} == {*list_packages()}:
        sums = [DIST / "release" / package.tag / "assets" / NAME for package in packages]
        published = Published(options.repository, sums)
        for path in write_recipes(DIST / "release" / "recipes", published):
            print(f"{path.relative_to(ROOT)}, as it will be beside the daemon's release")
    return 0


def sign(file: Path, key: Path) -> Path:
    """Sign a file with a key of ssh, and verify that; returns the signature, FILE.sig.

    ``allowed_signers`` beside it has the public key. Raises TaskError where ssh-keygen refuses.
    """
    signature = file.with_name(f"{file.name}.sig")
    signature.unlink(missing_ok=True)
    _ask("-Y", "sign", "-q", "-n", _NAMESPACE, "-f", str(key), str(file))
    signers = file.with_name("allowed_signers")
    public = Path(f"{key}.pub").read_text().split()
    signers.write_text(f'{_SIGNER} namespaces="{_NAMESPACE}" {public[0]} {public[1]}\n')
    words = ("-Y", "verify", "-q", "-n", _NAMESPACE, "-I", _SIGNER)
    _ask(*words, "-f", str(signers), "-s", str(signature), says=file.read_bytes())
    return signature


def _ask(*words: str, says: bytes = b"") -> None:
    if shutil.which("ssh-keygen") is None:
        raise TaskError("signing needs ssh-keygen (Debian: openssh-client)")
    done = subprocess.run(["ssh-keygen", *words], input=says, capture_output=True, check=False)
    if done.returncode:
        raise TaskError(f"ssh-keygen says {done.stderr.decode(errors='replace').strip()}")


def _read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev release",
        description="Put what is under Unreleased under each package's version, build everything "
        "twice, install it, and gather what each release publishes in dist/release/TAG: "
        "distributions, notes, a bill of materials (CycloneDX) and checksums.",
    )
    parser.add_argument("package", nargs="*", help="such as airlock-daemon (all that have changes)")
    parser.add_argument("--repository", required=True, help="https://HOST/OWNER/REPO")
    parser.add_argument("--day", default=f"{datetime.now(UTC):%Y-%m-%d}", help="(today)")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign the checksums by ssh-keygen")
    parser.add_argument(
        "--rehearse", action="store_true", help="build once, and leave the changelogs as they are"
    )
    options = parser.parse_args(arguments)
    try:
        date.fromisoformat(options.day)
    except ValueError:
        parser.error(f"{options.day!r} is no day such as 2026-12-01")
    return options


def _choose(names: Sequence[str]) -> Iterator[Package]:
    """The packages that are to be released, those first that others need.

    Raises TaskError for a name that is none, and for changes under a version that is released.
    """
    packages = {package.name: package for package in list_packages()}
    for name in names:
        if name not in packages:
            raise TaskError(f"{name!r} is no package; there are {', '.join(sorted(packages))}")
    for name in _ORDER:
        package = packages[name]
        first, *released = read_sections((package.folder / "CHANGELOG.md").read_text())
        has_changes = first.title == UNRELEASED and bool(first.notes)
        is_cut = any(section.version == package.version for section in released)
        is_wanted = name in names if names else has_changes
        if not is_wanted:
            continue
        if has_changes and is_cut:
            raise TaskError(
                f"{name} {package.version} is released, and has changes: raise its _version.py"
            )
        yield package
