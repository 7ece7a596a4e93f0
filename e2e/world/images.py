"""The images, built on this machine without a registry.

An image is labelled with a hash of its recipe and rebuilt only when that hash changes.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .command import CommandFailed, run
from .engine import docker, one_at_a_time

RECIPE_LABEL = "airlock.e2e.recipe"
RECIPES = Path(__file__).parent.parent / "images"

DEBIAN_PACKAGES = (
    "ca-certificates",
    "docker-registry",
    "git",
    "lighttpd",
    "lighttpd-mod-openssl",
    "openssh-client",
    "openssh-server",
    "socat",
)
DOCKER_PACKAGES = ("docker-cli", "docker-compose")
TOOL_PACKAGES = (
    *DOCKER_PACKAGES,
    *("ca-certificates", "curl", "gh", "git", "npm", "python3-pip", "redis-server"),
)
WORKSTATION_PACKAGES = (
    *DEBIAN_PACKAGES,
    *("ansible-core", "awscli", "cargo", "nodejs", "pre-commit", "python3-pip", "rsync"),
)
LANGUAGE_PACKAGES = (
    *("ca-certificates", "curl", "default-jdk-headless", "golang-go", "libstdc++6", "python3"),
)
BUILDX_PACKAGES = (*DOCKER_PACKAGES, "docker-buildx")
BUILDER_PACKAGES = ("ca-certificates", "libcap2-bin", "rootlesskit", "runc", "uidmap")
DEBIAN_OPTIONS = (
    "--variant=minbase",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
)
APT_SETTINGS = (
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
)
"""This machine's settings for reaching its mirror, which the bootstrap must use too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Names of the images, which exist when this object does."""

    busybox: str
    """Only busybox, statically linked: a shell and no libc."""
    shim: str
    """`FROM scratch` with the shim and its links, made by the shim itself. Nothing else."""
    debian: str
    """Debian with its own git, ssh and socat."""
    git_alone: str
    """`FROM scratch` with Debian's git, its libraries, and the shim to reach remotes."""
    git_server: str
    """Debian with an sshd for the users `git` and `guest`, and an https server of repositories."""
    registry: str
    """Debian with a registry of images."""

    @classmethod
    @one_at_a_time()
    def make(cls, *, shim: Path) -> "Images":
        """Build what is missing or out of date. `shim` is the native executable."""
        debian = _debian()
        images = cls(
            busybox=_busybox(),
            shim=_built("shim", extra={"airlock-shim": shim}),
            debian=debian,
            git_alone=_built("git-alone", base=debian, extra={"airlock-shim": shim}),
            git_server=make_git_server(debian),
            registry=make_registry(),
        )
        # A rebuilt image took the name of the previous one, which is unused now.
        docker("image", "prune", "--force", f"--filter=label={RECIPE_LABEL}").succeeded()
        return images


@contextmanager
def temporary_image(name: str, recipe: str, *options: str) -> Iterator[str]:
    """Build an image of a Dockerfile without files; `options` go to `docker build`."""
    tag = f"airlock-e2e/{name}"
    words = ("build", "--quiet", "--network=none", *options, f"--tag={tag}")
    docker(*words, "-", stdin=recipe.encode()).succeeded()
    try:
        yield tag
    finally:
        docker("image", "rm", "--force", tag).succeeded()


def _current(name: str, recipe: str) -> bool:
    """Whether image `name` exists and was built by this recipe."""
    label = f'{{{{index .Config.Labels "{RECIPE_LABEL}"}}}}'
    there = docker("image", "inspect", "--format", label, name)
    return there.exit_code == 0 and there.stdout == recipe


def _digest(parts: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _busybox() -> str:
    name = "airlock-e2e/busybox"
    binary = shutil.which("busybox")
    if binary is None:
        raise CommandFailed("there is no busybox on PATH; install Debian's busybox-static")
    program = Path(binary).read_bytes()
    recipe = _digest([b"busybox with links for its applets", program])
    if not _current(name, recipe):
        applets = run((binary, "--list")).succeeded().stdout.split()
        _import(name, recipe, _busybox_archive(program, applets))
    return name


def _busybox_archive(program: bytes, applets: Iterable[str]) -> bytes:
    """Return a tar archive with the program, a link for each applet, and a /tmp."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for folder, mode in (("bin", 0o755), ("tmp", 0o1777), ("root", 0o700)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
        for applet in applets:
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(entry)
    return stream.getvalue()


def _import(name: str, recipe: str, archive: bytes) -> None:
    change = f"LABEL {RECIPE_LABEL}={recipe}"
    docker("import", "--change", change, "-", name, stdin=archive).succeeded()


def load_layers(name: str, layers: Sequence[bytes]) -> str:
    """Make image `name` from another one's layers, gzipped tar archives; return it."""
    recipe = _digest(layers)
    if not _current(name, recipe):
        hashes = [hashlib.sha256(gzip.decompress(each)).hexdigest() for each in layers]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {RECIPE_LABEL: recipe}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each}" for each in hashes]},
        }
        image = {"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": hashes}
        files = {"manifest.json": json.dumps([image]).encode()}
        files |= {"config.json": json.dumps(config).encode()}
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for path, content in (*files.items(), *zip(hashes, layers, strict=True)):
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        docker("load", "--quiet", stdin=stream.getvalue()).succeeded()
    return name


def _debian() -> str:
    return bootstrap_debian("airlock-e2e/debian", packages=DEBIAN_PACKAGES)


@one_at_a_time()
def make_tools() -> str:
    """Make the image of a Debian with the tools of docker and of common APIs; return it.

    Its Python has no packages of Debian's that pip would have to replace.
    """
    return bootstrap_debian("airlock-e2e/debian-tools", packages=TOOL_PACKAGES)


@one_at_a_time()
def make_workstation() -> str:
    """Make the image of a Debian with everyday tools; return it."""
    return bootstrap_debian("airlock-e2e/debian-workstation", packages=WORKSTATION_PACKAGES)


@one_at_a_time()
def make_languages() -> str:
    """Make the image of a Debian with languages and programs for APIs in them; return it."""
    # Java's packages link to manuals, which are not installed.
    manuals = '--essential-hook=mkdir -p "$1/usr/share/man/man1"'
    name = "airlock-e2e/debian-languages"
    base = bootstrap_debian(name, packages=LANGUAGE_PACKAGES, options=(manuals,))
    return _built("languages", base=base)


@one_at_a_time()
def make_buildx_client() -> str:
    """Make the image of a Debian with docker's client, compose and buildx; return it."""
    return bootstrap_debian("airlock-e2e/debian-buildx", packages=BUILDX_PACKAGES)


@one_at_a_time()
def make_builder() -> str:
    """Make the image of BuildKit without root, compiled from Debian's sources; return it.

    That takes some twenty minutes, and is done again only when its recipe changes.
    """
    base = bootstrap_debian("airlock-e2e/debian-builder", packages=BUILDER_PACKAGES)
    made = "airlock-e2e/buildkit"
    compiled = [RECIPES / "builder" / name for name in ("compile", "chain.go")]
    recipe = _digest(path.read_bytes() for path in compiled)
    with tempfile.TemporaryDirectory(prefix="airlock-e2e-") as folder:
        if not _current(made, recipe):
            archive = os.path.join(folder, "made.tar")
            hooks = (
                f"copy-in {' '.join(map(str, compiled))} /",
                'chroot "$1" sh /compile',
                f'tar --directory "$1/made" --create --file {archive} .',
            )
            argv = [
                *("mmdebstrap", *DEBIAN_OPTIONS, *_apt_options()),
                *(f"--customize-hook={hook}" for hook in hooks),
                *(_release(), "/dev/null", *_list_sources()),
            ]
            run(argv, env={**os.environ, "TMPDIR": folder}, longest_s=5000).succeeded()
            change = f"LABEL {RECIPE_LABEL}={recipe}"
            docker("import", "--change", change, archive, made).succeeded()
    return _built("builder", base=base)


def make_registry() -> str:
    """Build the image of a registry of images, where it is missing or out of date."""
    return _built("registry", base=_debian())


def make_git_server(base: str) -> str:
    """Make the image of the git server from that Debian, with git, sshd and lighttpd; return it."""
    release = base.partition("debian")[2]
    return _built("git-server", base=base, name=f"airlock-e2e/git-server{release}")


def bootstrap_debian(
    name: str,
    *,
    packages: Sequence[str],
    release: str | None = None,
    options: Sequence[str] = (),
) -> str:
    """Make image `name`, a small Debian with `packages`; return it.

    `options` are further ones of mmdebstrap. `release` is a code name, by default this machine's.
    The image is rebuilt only when its input has changed. Raises CommandFailed, also if this
    machine's mirror has no such release.
    """
    recipe = _digest(
        part.encode() for part in (*DEBIAN_OPTIONS, *packages, *filter(None, (release,)), *options)
    )
    if _current(name, recipe):
        return name
    release, mirror = release or _release(), _mirror()
    with tempfile.TemporaryDirectory(prefix="airlock-e2e-", dir=_scratch()) as folder:
        archive = os.path.join(folder, "debian.tar")
        argv = [
            "mmdebstrap",
            *DEBIAN_OPTIONS,
            *options,
            *_apt_options(),
            f"--include={','.join(packages)}",
            release,
            archive,
            f"deb {mirror} {release} main",
        ]
        # Ten minutes: a slow mirror is no failure of the tests.
        run(argv, env={**os.environ, "TMPDIR": folder}, longest_s=600).succeeded()
        change = f"LABEL {RECIPE_LABEL}={recipe}"
        docker("import", "--change", change, archive, name).succeeded()
    return name


def _scratch() -> str | None:
    """Return a directory in memory with room for the largest Debian and its archive, or None.

    It halves the time. A container's own has 64 MB, the unpacked system up to 2 GB.
    """
    memory = "/dev/shm"
    if not os.access(memory, os.W_OK):
        return None
    there = os.statvfs(memory)
    return memory if there.f_bavail * there.f_frsize >= 3 << 30 else None


def _release() -> str:
    """Return the code name of this machine's Debian release, used for the image too."""
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    raise CommandFailed("/etc/os-release names no VERSION_CODENAME; the images need a Debian host")


def _mirror() -> str:
    """Return the mirror of the release that this machine's apt uses."""
    release = _release()
    form = "$(RELEASE) $(REPO_URI)"
    targets = run(("apt-get", "indextargets", "--format", form, "Created-By: Packages"))
    for line in targets.succeeded().stdout.splitlines():
        name, _, address = line.partition(" ")
        if name == release:
            return address
    raise CommandFailed(f"apt knows no source of {release}; run apt-get update")


def _list_sources() -> list[str]:
    """Return lines of this machine's sources of packages, and of the source packages there."""
    form = "$(REPO_URI) $(RELEASE)"
    targets = run(("apt-get", "indextargets", "--format", form, "Created-By: Packages"))
    found = sorted({*targets.succeeded().stdout.splitlines()})
    return [f"{kind} {each} main" for each in found if "://" in each for kind in ("deb", "deb-src")]


def _apt_options() -> list[str]:
    found = run(("apt-config", "dump", "--format", "%f %v%n", *APT_SETTINGS)).succeeded().stdout
    pairs = (line.partition(" ") for line in found.splitlines())
    return [f'--aptopt={key} "{value}"' for key, _, value in pairs if value]


def _built(
    folder: str, *, base: str = "", extra: dict[str, Path] | None = None, name: str = ""
) -> str:
    """Build the Dockerfile in `images/folder`, with `extra` files besides those of the folder.

    The image is named after the folder, or `name`.

    `base` is its base image (build argument BASE); when that was rebuilt, so is this one.
    """
    name = name or f"airlock-e2e/{folder}"
    files = {path.name: path for path in sorted((RECIPES / folder).iterdir())} | (extra or {})
    identity = docker("image", "inspect", "--format", "{{.Id}}", base).stdout if base else ""
    contents = [part for key in files for part in (key.encode(), files[key].read_bytes())]
    recipe = _digest([identity.encode(), *contents])
    if not _current(name, recipe):
        with tempfile.TemporaryDirectory(prefix="airlock-e2e-") as context:
            for key, path in files.items():
                shutil.copy(path, os.path.join(context, key))
            label = f"{RECIPE_LABEL}={recipe}"
            docker(
                "build",
                "--quiet",
                "--network=none",
                f"--build-arg=BASE={base}",
                f"--label={label}",
                f"--tag={name}",
                context,
            ).succeeded()
    return name
