"""What one command makes of a release: cut changelogs, signatures, bills of materials."""

import json
import subprocess
from pathlib import Path

import pytest
from e2e.world.wheels import build_wheel, download_wheels
from tasks.errors import TaskError
from tasks.hatch import hold_lock, install_tool
from tasks.places import ROOT
from tasks.release import publish
from tasks.release.changelog import cut_release, read_sections
from tasks.release.channels import fill_versions
from tasks.release.publish import run_release, sign
from tasks.release.sbom import write_sbom
from tasks.release.tag import Package, list_packages

VERSIONS = {package.name: package.version for package in list_packages()}
_LOG = "# Changelog of x\n\n## Unreleased\n\n- new\n\n## 0.4.0 - 2026-11-25\n\n- old\n"


def test_a_changelog_is_cut_once() -> None:
    """Entries go under the release, and the next ones have a place."""
    cut = cut_release(_LOG, "0.5.0", "2026-12-01")
    titles = [(each.title, each.notes) for each in read_sections(cut)]
    first, second, third = titles
    assert first == ("Unreleased", "")
    assert second == ("0.5.0 - 2026-12-01", "- new")
    assert third == ("0.4.0 - 2026-11-25", "- old")
    assert cut_release(cut, "0.5.0", "2027-01-01") == cut


@pytest.mark.parametrize("status", [0, 1])
def test_a_release_that_was_not_made_leaves_changelogs_and_manifests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    """So that the same command, once what failed is mended, finds the same packages."""
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(publish, "_make", lambda *_: status)
    before = {
        tmp_path / path.relative_to(ROOT): path.read_text() for path in fill_versions(VERSIONS)
    }
    for path, text in before.items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
    after = fill_versions(dict.fromkeys(VERSIONS, "10.11.12"), tmp_path)
    [*packages] = [
        Package(name, "10.11.12", tmp_path / name)
        for name in ("airlock-wire", "airlock-modules", "airlock-shim", "airlock-daemon")
    ]
    monkeypatch.setattr(publish, "list_packages", lambda: packages)
    for package in packages:
        package.folder.mkdir()
        (package.folder / "CHANGELOG.md").write_text(_LOG)
    assert run_release(["--repository", "https://h/o/r", "--day", "2026-12-01"]) == status
    texts = {(package.folder / "CHANGELOG.md").read_text() for package in packages}
    assert texts == {_LOG if status else cut_release(_LOG, "10.11.12", "2026-12-01")}
    assert {path: path.read_text() for path in before} == (before if status else after)


def test_checksums_are_signed(tmp_path: Path) -> None:
    """Whoever has the public key sees that a file was changed, or is signed for another use."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    file = tmp_path / "SHA256SUMS"
    file.write_text("0  a\n")
    signature = sign(file, key)
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "allowed_signers")]
    verify += ["-I", "release", "-s", str(signature), "-n"]
    for namespace, text, status in (
        ("airlock-release", "0  a\n", 0),
        ("airlock-release", "1  a\n", 255),
        ("file", "0  a\n", 255),
    ):
        done = subprocess.run(
            [*verify, namespace], input=text.encode(), capture_output=True, check=False
        )
        assert done.returncode == status
    with pytest.raises(TaskError, match="ssh-keygen says"):
        sign(file, tmp_path / "nothing")


@pytest.mark.nightly
def test_a_bill_of_materials_has_what_is_installed(tmp_path: Path) -> None:
    """Each package with its version, the same bytes each time, and an error for what is missing."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with hold_lock():
        uv = install_tool("lock") / "bin" / "uv"
        for folder in ("airlock-protocol", "airlock-modules", "airlock-daemon", "airlock-shim"):
            made = build_wheel(folder, tmp_path / folder)
            made.rename(wheels / made.name)
    download_wheels(wheels, python="3.13")
    daemon = next(each for each in list_packages() if each.name == "airlock-daemon")
    made = write_sbom(daemon, tmp_path, wheels=[wheels], uv=uv, epoch=0)
    first = made.read_bytes()
    assert write_sbom(daemon, tmp_path, wheels=[wheels], uv=uv, epoch=0).read_bytes() == first
    document = json.loads(first)
    assert document["bomFormat"] == "CycloneDX"
    names = {each["name"] for each in document["components"]}
    assert {"airlock-modules", "airlock-wire", "trio", "msgspec", "typer", "h11"} <= names
    assert document["metadata"]["component"]["version"] == daemon.version
    known = {each["ref"] for each in document["dependencies"]}
    assert document["metadata"]["component"]["bom-ref"] in known
    (wheels / next(each.name for each in wheels.glob("trio-*"))).unlink()
    with pytest.raises(TaskError, match="no bill of materials can be made"):
        write_sbom(daemon, tmp_path, wheels=[wheels], uv=uv, epoch=0)
