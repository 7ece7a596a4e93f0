"""The formula of Homebrew and the flake of nix: they name what releases have published by its hash.

They are made after the releases of the daemon and of all that it needs: only then is each hash
known, since a package that has not changed keeps the files of its last release.
"""

import argparse
import base64
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import indent

from tasks.errors import TaskError
from tasks.lock.declared import list_requirements, read_name
from tasks.places import ROOT
from tasks.release.tag import Package, list_packages

REQUIREMENTS = "requirements.txt"
"""A file of the daemon's release: what else it needs, as locked, with the hash of each file."""
_CHANNELS = ROOT / "channels"
_TAGS = {
    "any": "any",
    "x86_64-linux": "manylinux_2_17_x86_64.musllinux_1_1_x86_64",
    "aarch64-linux": "manylinux_2_17_aarch64.musllinux_1_1_aarch64",
}
"""Tags of wheels by nix's names of systems; "any" is for all others."""


class Published:
    """The files of releases: where each is, and its hash."""

    def __init__(self, repository: str, sums: Sequence[Path]) -> None:
        """Read the SHA256SUMS of releases in ``https://HOST/OWNER/REPO``."""
        lines = (line.split(maxsplit=1) for path in sums for line in path.read_text().splitlines())
        self._digests = {name: digest for digest, name in lines}
        self.repository = repository

    def find(self, package: Package, name: str) -> tuple[str, str]:
        """Return URL and SHA-256 of a file; raises TaskError if no release has it."""
        if name not in self._digests:
            raise TaskError(f"no SHA256SUMS has {name}: give that of the release {package.tag}")
        url = f"{self.repository}/releases/download/{package.tag}/{name}"
        return url, self._digests[name]

    def list_wheels(self, package: Package) -> dict[str, tuple[str, str]]:
        """Return URL and SHA-256 of each wheel of a package by system."""
        has_programs = (package.folder / "native").is_dir()
        tags = {name: tag for name, tag in _TAGS.items() if has_programs or name == "any"}
        return {
            system: self.find(package, f"{package.file_stem}-py3-none-{tag}.whl")
            for system, tag in tags.items()
        }


def write_recipes(folder: Path, published: Published) -> list[Path]:
    """Write ``airlock.rb`` and ``flake.nix`` into a new folder, and return them.

    Raises TaskError if a file that they name is not published.
    """
    packages = {package.name: package for package in list_packages()}
    daemon = packages.pop("airlock-daemon")
    values = {
        "REPOSITORY": published.repository,
        "VERSION": daemon.version,
        "DAEMON": indent("\n".join(_write_ruby(published.list_wheels(daemon))), "  "),
        "RESOURCES": "\n".join(_write_resources(daemon, [*packages.values()], published)),
        "WHEELS": "\n".join(
            indent(_write_nix(package, published.list_wheels(package)), " " * 8)
            for package in (*packages.values(), daemon)
        ),
        "LIBRARIES": "\n".join(
            f'{" " * 14}"{read_name(word)}"'
            for word in list_requirements(daemon.folder)
            if read_name(word) not in packages
        ),
    }
    folder.mkdir(parents=True)
    made = []
    for template in (_CHANNELS / "homebrew" / "airlock.rb", _CHANNELS / "nix" / "flake.nix"):
        text = template.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        path = folder / template.name
        path.write_text(text)
        made.append(path)
    return made


def _write_resources(
    daemon: Package, packages: Sequence[Package], published: Published
) -> Iterator[str]:
    files = {package.name: published.list_wheels(package) for package in packages}
    files["requirements"] = {"any": published.find(daemon, REQUIREMENTS)}
    for name, wheels in files.items():
        body = indent("\n".join(_write_ruby(wheels)), "    ")
        yield f'  resource "{name}" do\n{body}\n  end\n'


def _write_ruby(files: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Yield lines of a formula that name a file, or one for each system."""

    def name_file(system: str) -> str:
        url, digest = files[system]
        return f'url "{url}", using: :nounzip\nsha256 "{digest}"'

    if len(files) == 1:
        yield name_file("any")
        return
    yield f"on_macos do\n{indent(name_file('any'), '  ')}\nend\n"
    yield "on_linux do"
    for block, system in (("on_intel", "x86_64-linux"), ("on_arm", "aarch64-linux")):
        yield f"  {block} do\n{indent(name_file(system), '    ')}\n  end"
    yield "end\n"


def _write_nix(package: Package, files: Mapping[str, tuple[str, str]]) -> str:
    """Return the attributes of a package in a flake."""
    lines = [f"{package.name} = {{", f'  version = "{package.version}";']
    for system, (url, digest) in files.items():
        encoded = base64.b64encode(bytes.fromhex(digest)).decode()
        lines += [f"  {system} = {{", f'    url = "{url}";', f'    hash = "sha256-{encoded}";']
        lines.append("  };")
    return "\n".join([*lines, "};"])


def main(arguments: Sequence[str]) -> int:
    """Print the tags of the releases that the recipes name, or write the recipes."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.release.recipes", description=main.__doc__
    )
    parser.add_argument("--tags", action="store_true", help="print the tags")
    parser.add_argument("--repository", help="https://HOST/OWNER/REPO")
    parser.add_argument("--out", type=Path, help="a new folder")
    parser.add_argument("sums", nargs="*", type=Path, help="the SHA256SUMS of these releases")
    options = parser.parse_args(arguments)
    if options.tags:
        print(*(package.tag for package in list_packages()), sep="\n")
        return 0
    try:
        for path in write_recipes(options.out, Published(options.repository, options.sums)):
            print(path)
    except TaskError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
