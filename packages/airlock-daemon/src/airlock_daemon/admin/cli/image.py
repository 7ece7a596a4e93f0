"""A container image: its description by the engine, and its files."""

import io
import os
import posixpath
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from airlock_daemon.boundary.identity.engine_info import EngineInfo
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.generation import State, leads_through
from airlock_wire import quote

ENGINE = "docker"

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Docker's default if an image sets none."""
_ANSWER_S = 60
_MAX_LENGTH = 1 << 20
"""The most bytes of a file that are read."""
_HEADER = 10240
"""Bytes of an archive that are read for an entry's type: tar's own block."""
_LINKS = 40
_NO_IMAGE = ("no such image", "image not known")
_NOT_THERE = ("could not find the file", "could not be found", "no such file")


class _Settings(msgspec.Struct):
    environment: list[str] | None = msgspec.field(name="Env", default=None)
    entrypoint: list[str] | None = msgspec.field(name="Entrypoint", default=None)
    command: list[str] | None = msgspec.field(name="Cmd", default=None)
    health_check: dict[str, object] | None = msgspec.field(name="Healthcheck", default=None)


class _Described(msgspec.Struct):
    """The members of `docker image inspect` that are used here."""

    identity: str = msgspec.field(name="Id")
    system: str = msgspec.field(name="Os")
    architecture: str = msgspec.field(name="Architecture")
    settings: _Settings | None = msgspec.field(name="Config", default=None)


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A Linux image: its id, its processor in the engine's words, and its PATH.

    `entrypoint` and `command` are the image's, empty if it has none. `checks_health` says that the
    engine runs a health check in its containers.
    """

    identity: str
    architecture: str
    search_path: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    checks_health: bool = False


def find_engine(name: str, workspaces: Sequence[str]) -> str:
    """The path of an engine's command; raises AirlockError if it is not found.

    So it does for one in `workspaces`, such as in an active virtual environment: an agent may have
    written it.
    """
    program = shutil.which(name)
    if program is None:
        raise AirlockError(
            f"{name} is not on your PATH, and it starts the container",
            hint=f"install the {name} command, or add its directory to PATH",
        )
    if leads_through(os.path.abspath(program), workspaces):
        raise AirlockError(
            f"{name} would be {program}, which is in a workspace, where an agent writes",
            hint="remove its directory from PATH: deactivate, for a virtual environment",
        )
    return program


def inspect_image(program: str, name: str) -> Image:
    """Ask the engine's command `program` for the local image `name`; raises AirlockError."""
    done = _call(program, "image", "inspect", "--", name)
    if done.returncode:
        raise _explain(program, name, done.stderr.decode(errors="replace").strip())
    try:
        (described,) = msgspec.json.decode(done.stdout, type=tuple[_Described])
    except msgspec.MsgspecError as error:
        message = f"{_name(program)} image inspect answered something else than an image: {error}"
        raise AirlockError(message, hint=_advise(program)) from error
    if described.system != "linux":
        raise AirlockError(
            f"the image {quote(name)} is for {quote(described.system)}, and the shim for Linux",
            hint="use an image for Linux",
        )
    settings = described.settings or _Settings()
    entrypoint = tuple(settings.entrypoint or ())
    return Image(
        identity=described.identity,
        architecture=described.architecture,
        search_path=_find_path(settings),
        # docker removes an entrypoint by an empty one.
        entrypoint=() if entrypoint == ("",) else entrypoint,
        command=tuple(settings.command or ()),
        checks_health=bool(settings.health_check),
    )


def list_mounts(program: str, container: str) -> list[str]:
    """The host's paths and the names of volumes that a container mounts. Raises AirlockError."""
    form = "{{range .Mounts}}{{println .Name}}{{println .Source}}{{end}}"
    words = ("inspect", "--type=container", f"--format={form}", "--", container)
    done = _call(program, *words)
    if done.returncode:
        raise AirlockError(
            f"{_name(program)} does not say what {quote(container)} mounts: "
            + quote(done.stderr.decode(errors="replace").strip()),
            hint="name a container that is there, or leave --volumes-from out",
        )
    return [line for line in done.stdout.decode(errors="replace").split("\n") if line]


def list_running(program: str, agent: str, state: State, *, named: str = "") -> Iterator[str]:
    """Lines on the containers that an agent has left running. Raises AirlockError.

    `named` is the path of the socket that its profile names, "" for the person's own engine.
    """
    from airlock_modules.engine import IMAGE_LABEL, Ownership  # noqa: PLC0415 - few need it

    ownership = Ownership(agent, state.secrets.find_installation())
    host = ("--host", f"unix://{named}") if named else ()
    form = f'{{{{.Names}}}} {{{{.Label "{IMAGE_LABEL}"}}}}'
    filters = (f"--filter=label={each}" for each in ownership.filters)
    try:
        listed = _succeed(program, (*host, "ps", *filters, "--format", form))
    except AirlockError:
        # The agent's container has ended as it should.
        return
    prefix = ownership.prefix
    found = [line.split(" ", 1) for line in listed.splitlines() if line.startswith(prefix)]
    if found:
        shown = ", ".join(f"{name.removeprefix(prefix)} ({image})" for name, image in found)
        yield f"agent {agent} has left running: {shown}"
        yield f"hint: to end them: docker rm -f {' '.join(name for name, _ in found)}"


def silence(image: Image, words: Iterable[str]) -> list[tuple[str]]:
    """Options of `docker run` that disable the image's health check.

    It would run beside the shim before the mounts are compared. A health check that a person sets
    in `words` stays.
    """
    is_asked = any(word.startswith("--health-") for word in words)
    return [("--no-healthcheck",)] if image.checks_health and not is_asked else []


class ImageFiles:
    """An image's files, and those of volumes, by a container that never runs."""

    def __init__(self, program: str, container: str) -> None:
        self._program = program
        self._container = container

    def read(self, path: str) -> str | None:
        """A file's text; None if the image has no such file. Raises AirlockError."""
        for _ in range(_LINKS):
            archive = self._copy(path, _HEADER + _MAX_LENGTH)
            if archive is None:
                return None
            entry = _read_header(archive)
            if entry is None or not (entry.isreg() or entry.issym()):
                return None
            if entry.isreg():
                if entry.size > _MAX_LENGTH:
                    raise _unreadable(self._program, f"{path} is larger than {_MAX_LENGTH} bytes")
                start = entry.offset_data
                return archive[start : start + entry.size].decode(errors="replace")
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.linkname))
        return None

    def has(self, path: str) -> bool:
        """Whether the image has something at `path`, even a symlink. Raises AirlockError."""
        return self._copy(path, _HEADER) is not None

    def write(self, path: str, archive: bytes) -> None:
        """Unpack an archive in the directory `path`. Raises AirlockError."""
        words = ("cp", "-", f"{self._container}:{path}")
        done = _call(self._program, *words, stdin=archive)
        if done.returncode:
            raise _unreadable(self._program, done.stderr.decode(errors="replace"))

    def _copy(self, path: str, longest: int) -> bytes | None:
        """The start of an archive of `path`, None if the image has nothing there."""
        argv = (self._program, "cp", f"{self._container}:{path}", "-")
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
            archive = process.stdout.read(longest) if process.stdout else b""
            # The rest is not needed: a directory may be large.
            if process.stdout:
                process.stdout.close()
            said = process.stderr.read().decode(errors="replace") if process.stderr else ""
        if archive:
            return archive
        if any(words in said.lower() for words in _NOT_THERE):
            return None
        raise _unreadable(self._program, said)


@contextmanager
def open_image(program: str, image: Image) -> Iterator[ImageFiles]:
    """Create a container of `image` to read files from, and remove it. Raises AirlockError."""
    with open_container(program, image.identity) as files:
        yield files


@contextmanager
def open_container(program: str, image: str, *options: str) -> Iterator[ImageFiles]:
    """Create a container to copy files from and to, and remove it. Raises AirlockError."""
    # It needs a command, which the image may lack, and is never started.
    create = ("create", "--network=none", *options, "--entrypoint=/airlock", image)
    container = _succeed(program, create)
    try:
        yield ImageFiles(program, container)
    finally:
        _succeed(program, ("rm", "--force", "--volumes", container))


def list_images(program: str, name: str) -> list[str]:
    """The ids of the images of this name. Raises AirlockError."""
    return _succeed(program, ("images", "--quiet", name)).split()


def make_volume(program: str, name: str, *, label: str) -> None:
    """Make a volume unless it is there. Raises AirlockError."""
    # podman refuses to make one that is there. A filter finds names that begin alike, too.
    found = _succeed(program, ("volume", "ls", "--quiet", "--filter", f"name={name}"))
    if name not in found.split():
        _succeed(program, ("volume", "create", "--label", label, name))


def _read_header(archive: bytes) -> tarfile.TarInfo | None:
    """The first entry of an archive that may be truncated."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
            return opened.next()
    except tarfile.TarError:
        return None


def _succeed(program: str, words: Sequence[str]) -> str:
    done = _call(program, *words)
    if done.returncode:
        raise _unreadable(program, done.stderr.decode(errors="replace"))
    return done.stdout.decode().strip()


def _call(program: str, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the engine's command; raises AirlockError if it does not answer."""
    try:
        return subprocess.run(
            (program, *words),
            input=stdin,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AirlockError(
            f"{_name(program)} did not answer in {_ANSWER_S} s", hint=_advise(program)
        ) from None
    except OSError as error:
        raise AirlockError(
            f"{program} cannot be run: {error.strerror}", hint=_advise(program)
        ) from error


def _name(program: str) -> str:
    return os.path.basename(program)


def _advise(program: str) -> str:
    return f"see whether you may use it, and whether it runs: {_name(program)} info"


def _unreadable(program: str, said: str) -> AirlockError:
    lines = said.strip().splitlines()
    reason = quote(lines[-1]) if lines else "it does not say why"
    return AirlockError(
        f"{_name(program)} cannot copy files out of the image: {reason}",
        hint=_advise(program),
    )


def _find_path(settings: _Settings) -> str:
    variables = settings.environment or []
    paths = [word.removeprefix("PATH=") for word in variables if word.startswith("PATH=")]
    # An empty one before other entries would mean the current directory.
    return (paths[-1] if paths else "") or _DEFAULT_PATH


def _explain(program: str, name: str, said: str) -> AirlockError:
    engine = _name(program)
    if any(words in said.lower() for words in _NO_IMAGE):
        return AirlockError(
            f"there is no image {quote(name)} on this machine",
            hint=f"fetch or build it first: {engine} pull, or {engine} build -t",
        )
    if "invalid reference format" in said.lower():
        return AirlockError(
            f"{quote(name)} is no name of an image",
            hint=f"IMAGE stands for one that this machine has: {engine} images",
        )
    reason = quote(said.splitlines()[-1]) if said else "it does not say why"
    return AirlockError(
        f"{engine} does not answer about the image {quote(name)}: {reason}",
        hint=EngineInfo.advise(said) or _advise(program),
    )
