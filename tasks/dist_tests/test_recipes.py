"""The formula of Homebrew and the flake of nix, as a release of what was built would have them."""

import base64
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from e2e.world.command import run
from e2e.world.need import need

from tasks.errors import TaskError
from tasks.release.checksums import NAME, digest
from tasks.release.recipes import Published, write_recipes
from tasks.release.tag import list_packages

REPOSITORY = "https://example.test/team/airlock"
VERSIONS = {package.name: package.version for package in list_packages()}
TAGS = {f"airlock-{package.tag.partition('-v')[0]}": package.tag for package in list_packages()}
BREW = str(Path(__file__).with_name("brew.rb"))
NIX = str(Path(__file__).with_name("packages.nix"))
SYSTEMS = ("macos", "linux-intel", "linux-arm")


@pytest.fixture
def recipes(dist: Path, tmp_path: Path) -> Path:
    """Return the folder with both."""
    folder = tmp_path / "recipes"
    write_recipes(folder, Published(REPOSITORY, [dist / NAME]))
    return folder


@pytest.fixture
def ruby() -> None:
    """Require ruby, which reads the formula."""
    need(None if shutil.which("ruby") else "there is no ruby")


@pytest.fixture
def nix() -> None:
    """Require nix, which evaluates the flake."""
    need(None if shutil.which("nix-instantiate") else "there is no nix")


def test_a_file_that_no_release_has_is_not_named(tmp_path: Path) -> None:
    """Before its package is released; no recipe is written without a hash."""
    (tmp_path / NAME).write_text("")
    with pytest.raises(TaskError, match=r"give that of the release \w+-v"):
        write_recipes(tmp_path / "recipes", Published(REPOSITORY, [tmp_path / NAME]))
    assert not (tmp_path / "recipes").exists()


@pytest.mark.usefixtures("ruby")
def test_the_formula_names_what_was_built(dist: Path, recipes: Path) -> None:
    """For each system its own wheels, by the tags of their releases, and with their hashes."""
    formula = str(recipes / "airlock.rb")
    run(("ruby", "-c", formula)).succeeded()
    wheels = set()
    for system in SYSTEMS:
        said = run(("ruby", BREW, formula, str(dist), "", "", system)).succeeded().stdout
        for name, (url, value) in json.loads(said).items():
            package = "airlock-daemon" if name in {"airlock", "requirements"} else name
            folder, _, file = url.rpartition("/")
            assert folder == f"{REPOSITORY}/releases/download/{TAGS[package]}"
            assert digest(dist / file) == value
            wheels.add(file)
    assert wheels == {*(path.name for path in dist.glob("*.whl")), "requirements.txt"}


@pytest.mark.usefixtures("ruby")
def test_the_formula_installs_the_program(dist: Path, recipes: Path, tmp_path: Path) -> None:
    """By its own `install`, from the files that it names and the locked libraries alone."""
    cellar, python = tmp_path / "cellar", tmp_path / "python"
    python.mkdir()
    (python / "python3.13").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (python / "python3.13").chmod(0o755)
    variables = {
        "PATH": os.environ["PATH"],
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(dist / "image" / "wheels"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    system = "linux-intel" if os.uname().machine == "x86_64" else "linux-arm"
    words = ("ruby", BREW, str(recipes / "airlock.rb"), str(dist), str(python), str(cellar), system)
    run(words, env=variables, longest_s=500).succeeded()
    for name in ("airlock", "airlock-daemon"):
        said = run((str(cellar / "bin" / name), "--version")).succeeded().stdout
        assert VERSIONS["airlock-daemon"] in said
    shim = str(tmp_path / "airlock-shim")
    run((str(cellar / "bin" / "airlock"), "shim", shim)).succeeded()
    assert VERSIONS["airlock-shim"] in run((shim, "--version")).succeeded().stdout


@pytest.mark.usefixtures("nix")
def test_the_flake_is_of_what_was_built(dist: Path, recipes: Path) -> None:
    """Each system gets the daemon's wheel for it, with its hash, and what the daemon needs."""
    flake = str(recipes / "flake.nix")
    words = ("--eval", "--strict", "--json", "--store", "dummy://", "--arg", "flake", flake, NIX)
    said = run(("nix-instantiate", *words)).succeeded().stdout
    packages = json.loads(said)
    assert len(packages) == 4
    for system, each in packages.items():
        daemon = each["default"]
        assert (daemon["pname"], daemon["format"]) == ("airlock-daemon", "wheel")
        assert daemon["version"] == VERSIONS["airlock-daemon"]
        processor, _, kind = system.partition("-")
        name = daemon["src"]["url"].rpartition("/")[2]
        assert (processor if kind == "linux" else "none-any") in name
        encoded = base64.b64encode(bytes.fromhex(digest(dist / name))).decode()
        assert daemon["src"]["hash"] == f"sha256-{encoded}"
        needs = {
            need if isinstance(need, str) else need["pname"] for need in daemon["dependencies"]
        }
        libraries = {"cryptography", "h11", "msgspec", "tomlkit", "trio", "typer"}
        assert needs == libraries | VERSIONS.keys() - {"airlock-daemon"}
