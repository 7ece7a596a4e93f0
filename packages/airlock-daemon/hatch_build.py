"""Builds the package's native program with Zig, for hatchling.

The table `[tool.hatch.build.hooks.custom]` of `pyproject.toml` says what to build:

`source`
    The root source file of the Zig program.
`data`
    Where the binary goes below the package folder. With `{arch}` in it there is one file for
    each processor in every wheel; without, one for the wheel's own platform.
`script`
    Optional. The command under which the wheel's own binary is put on PATH.

`[tool.hatch.build] exclude` must name the place of `data` and `/.zig-cache`, or a distribution
could pick up what an earlier build left there.

The environment variable `AIRLOCK_TARGET` says which platform the wheel is for: `x86_64-linux`,
`aarch64-linux`, or `any` for a wheel without a binary of its own. The default is this machine.

Several packages use this one file: the others hold a symbolic link to it.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ARCHITECTURES = ("x86_64", "aarch64")

# A static binary without libc runs on either C library. These are the oldest tags of each that
# are still in use, so that no installer turns the wheel away.
WHEEL_TAG = "py3-none-manylinux_2_17_{arch}.musllinux_1_1_{arch}"


# The root module's mode says whether a program checks indices, casts and sums while it runs, and a
# module's own what it is compiled for. So a root of ReleaseSafe keeps all checks in a program that
# is compiled for size, which makes it smaller by a fifth.
ROOT = """const program = @import("program");
pub const main = program.main;
pub const panic = program.panic;
pub const std_options = program.std_options;
"""


class NativeBuildHook(BuildHookInterface[BuilderConfig]):
    """Adds the compiled program to a wheel, and itself to a source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile what the target needs and tell hatchling where it is.

        `version` is `standard` or `editable`; an editable install gets the same files, in the
        source tree. Raises `ValueError` for an unknown `AIRLOCK_TARGET` and
        `subprocess.CalledProcessError` if the compiler fails, which has then said why.
        """
        if self.target_name == "sdist":
            replace_links(build_data["force_include"])
            return
        wheel_arch = requested_architecture()
        in_tree = self.data_files(own_architecture())
        for arch, path in self.data_files(wheel_arch).items():
            binary = self.compile(arch)
            if version == "standard":
                build_data["force_include"][str(binary)] = path.removeprefix("src/")
            # Another platform's binary stays out of the source tree, which this machine runs.
            if in_tree.get(arch) == path:
                place(binary, Path(self.root, path))
        if wheel_arch is None:
            return
        build_data["pure_python"] = False
        build_data["tag"] = WHEEL_TAG.format(arch=wheel_arch)
        if "script" in self.config:
            build_data["shared_scripts"][str(self.compile(wheel_arch))] = self.config["script"]

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002 - hatchling's signature
        """Remove the compiled program and the compiler's cache."""
        for arch in ARCHITECTURES:
            for path in self.data_files(arch).values():
                Path(self.root, path).unlink(missing_ok=True)
        shutil.rmtree(self.cache, ignore_errors=True)

    @property
    def cache(self) -> Path:
        """The folder of everything that the compiler keeps, inside the package's own folder."""
        return Path(self.root, ".zig-cache")

    def data_files(self, wheel_arch: str | None) -> dict[str, str]:
        """Each processor that a wheel for `wheel_arch` carries a binary for, with its place."""
        pattern: str = self.config["data"]
        if "{arch}" in pattern:
            return {arch: pattern.format(arch=arch) for arch in ARCHITECTURES}
        return {} if wheel_arch is None else {wheel_arch: pattern}

    def compile(self, arch: str) -> Path:
        """Compile the program for Linux on `arch`, unless it is there and of the very same."""
        binary = self.cache / "bin" / arch / Path(self.config["data"]).name.format(arch=arch)
        binary.parent.mkdir(parents=True, exist_ok=True)
        root = self.cache / "root.zig"
        root.write_text(ROOT)
        # A named target also means a baseline processor: the result does not depend on the
        # machine that built it.
        module = ["-target", f"{arch}-linux-none", "-fstrip", "-fsingle-threaded"]
        command = [sys.executable, "-m", "ziglang", "build-exe"]
        command += [*module, "-O", "ReleaseSafe", "--dep", "program", f"-Mroot={root}"]
        command += [*module, "-O", "ReleaseSmall", f"-Mprogram={self.config['source']}"]
        command += ["--build-id=none"]
        # Nothing reads the tables: a fault prints no stack trace.
        command += ["-fno-unwind-tables"]
        # Zig's start code raises the soft limit of the stack to the size that the program asks
        # for, and a program that it executes would inherit that. A small size leaves it alone.
        command += ["--stack", "65536"]
        command += ["--cache-dir", str(self.cache), "--global-cache-dir", str(self.cache)]
        command.append(f"-femit-bin={binary}")
        # Zig compiles an executable anew each time, whatever it keeps.
        stamp = binary.with_name(f"{binary.name}.made-of")
        made_of = self.digest(command[1:])
        if not binary.exists() or not stamp.exists() or stamp.read_text() != made_of:
            stamp.unlink(missing_ok=True)
            subprocess.run(command, cwd=self.root, check=True)
            stamp.write_text(made_of)
        return binary

    def digest(self, command: list[str]) -> str:
        """Return a digest of what a program is compiled of: sources, arguments, compiler."""
        total = hashlib.sha256(f"{version('ziglang')} {command} {ROOT}".encode())
        sources = Path(self.root, self.config["source"]).parent
        for path in sorted(sources.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                total.update(f"{path.relative_to(sources)} {len(content)}\n".encode() + content)
        return total.hexdigest()


def requested_architecture() -> str | None:
    """The processor that the wheel is for; None for a wheel without a binary of its own."""
    target = os.environ.get("AIRLOCK_TARGET", "")
    if not target:
        return own_architecture()
    if target == "any":
        return None
    arch = target.removesuffix("-linux")
    if arch == target or arch not in ARCHITECTURES:
        known = ", ".join(f"{arch}-linux" for arch in ARCHITECTURES)
        message = f"AIRLOCK_TARGET is {target!r}; set it to one of {known}, any, or not at all"
        raise ValueError(message)
    return arch


def own_architecture() -> str | None:
    """The processor of this machine, if it runs Linux and there are binaries for it."""
    machine = platform.machine()
    return machine if sys.platform == "linux" and machine in ARCHITECTURES else None


def place(binary: Path, destination: Path) -> None:
    """Put `binary` at `destination`, executable; a copy that is running there stays intact."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    if destination.exists() and destination.read_bytes() == binary.read_bytes():
        return
    # Writing into a program that is being executed fails (ETXTBSY); renaming over it does not.
    fresh = destination.with_name(f".{destination.name}.{os.getpid()}")
    shutil.copyfile(binary, fresh)
    fresh.chmod(0o755)
    fresh.replace(destination)


def replace_links(force_include: dict[str, str]) -> None:
    """Let a source distribution hold the files that links point to.

    hatchling stores a link as a link, and one that leaves the package's folder is dead where
    the distribution is unpacked.
    """
    for source, target in list(force_include.items()):
        if Path(source).is_symlink():
            del force_include[source]
            force_include[str(Path(source).resolve())] = target
