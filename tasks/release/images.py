"""The container images, built by Docker from ``docker/`` and the built packages."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import TaskError
from tasks.places import ROOT
from tasks.release.image_archive import write_archive

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image of the project for one processor."""

    name: str
    dockerfile: str
    """Relative to the checkout."""
    architecture: str
    """The container engines' name: ``amd64`` or ``arm64``."""

    @property
    def platform(self) -> str:
        """The engines' name of the platform."""
        return f"linux/{self.architecture}"


def list_images() -> tuple[Image, ...]:
    """Return the images that can be built here.

    The build of the shim's image runs nothing, so it is built for every processor. The daemon's
    installs packages, so it is built only for this machine's.
    """
    own = _ARCHITECTURES.get(platform.machine())
    shims = [Image("airlock-shim", "docker/Dockerfile.shim", arch) for arch in ("amd64", "arm64")]
    daemons = [Image("airlock-daemon", "docker/Dockerfile.daemon", own)] if own else []
    return (*shims, *daemons)


def why_no_images() -> str | None:
    """Return why no images can be built here, or None."""
    if shutil.which("docker") is None:
        return "there is no docker command on PATH"
    for words in (("version",), ("buildx", "version")):
        if _ask_docker(*words).returncode:
            return f"`docker {' '.join(words)}` fails: no engine answers, or it has no buildx"
    return None


def write_context(
    folder: Path, *, wheels: Sequence[Path], binaries: Sequence[Path], epoch: int
) -> None:
    """Complete the images' build context: ``wheels/`` and the shim's binaries, dated ``epoch``.

    Images inherit modes and times from there.
    """
    (folder / "wheels").mkdir(parents=True, exist_ok=True)
    for path in wheels:
        shutil.copyfile(path, folder / "wheels" / path.name)
    for path in binaries:
        shutil.copyfile(path, folder / path.name)
    for path in (*folder.rglob("*"), folder):
        runs = path.is_dir() or path.parent == folder
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (epoch, epoch))


def build_image(
    image: Image, context: Path, out: Path, *, version: str, epoch: int, base: str
) -> Path:
    """Build ``image`` and return its archive in ``out``, ready to load.

    ``base`` is the daemon's base image, "" for that of its Dockerfile. The image is removed from
    the engine. Raises TaskError if Docker fails.
    """
    name = f"{image.name}:{version}"
    built = f"airlock-build/{image.name}:{image.architecture}-{os.getpid()}"
    words = ["buildx", "build", "--load", "--provenance=false", f"--platform={image.platform}"]
    # The engine's cache ignores file times: it would reuse a layer of an earlier build.
    words += ["--no-cache"]
    words += [f"--file={ROOT / image.dockerfile}", f"--tag={built}"]
    words += [f"--label=org.opencontainers.image.version={version}"]
    words += [f"--build-arg=SOURCE_DATE_EPOCH={epoch}"]
    words += [f"--build-arg=BASE={base}"] if base and image.name == "airlock-daemon" else []
    out.mkdir(parents=True, exist_ok=True)
    archive = out / f"{image.name}-{version}-linux-{image.architecture}.tar"
    try:
        _succeed(image, *words, str(context))
        with tempfile.TemporaryDirectory(dir=out) as scratch:
            saved = Path(scratch, "saved.tar")
            _succeed(image, "image", "save", f"--output={saved}", built)
            write_archive(saved, archive, name=name, epoch=epoch)
            archive.chmod(0o644)
    finally:
        _ask_docker("image", "rm", built)
    return archive


def _succeed(image: Image, *words: str) -> None:
    done = _ask_docker(*words)
    if done.returncode:
        raise TaskError(
            f"docker {words[0]} {words[1]} of {image.name} for {image.platform} failed:\n"
            f"{done.stdout}\nWithout a registry, name a local image to start from with --base."
        )


def _ask_docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *words],
        check=False,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
