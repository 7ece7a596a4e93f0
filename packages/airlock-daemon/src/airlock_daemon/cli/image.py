"""A container image as the engine describes it."""

import shutil
import subprocess

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_wire import quote

ENGINE = "docker"

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What Docker sets where an image sets none."""
_ANSWER_S = 60
_ASK = f"see whether you may use it, and whether it runs: {ENGINE} info"


class _Settings(msgspec.Struct):
    environment: list[str] | None = msgspec.field(name="Env", default=None)


class _Described(msgspec.Struct):
    """The part of `docker image inspect` that matters here."""

    system: str = msgspec.field(name="Os")
    architecture: str = msgspec.field(name="Architecture")
    settings: _Settings | None = msgspec.field(name="Config", default=None)


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image for Linux: the processor that it is for, as the engine names it, and its PATH."""

    architecture: str
    search_path: str


def find_engine() -> str:
    """The path of docker; raises AirlockError where there is none."""
    program = shutil.which(ENGINE)
    if program is None:
        raise AirlockError(
            f"{ENGINE} is not on your PATH, and it starts the container",
            hint=f"install the {ENGINE} command, or add its directory to PATH",
        )
    return program


def inspect_image(program: str, name: str) -> Image:
    """Ask docker (`program`) for the image `name`, which it must have; raises AirlockError."""
    argv = (program, "image", "inspect", "--", name)
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise AirlockError(f"{ENGINE} did not answer in {_ANSWER_S} s", hint=_ASK) from None
    except OSError as error:
        raise AirlockError(f"{program} cannot be run: {error.strerror}", hint=_ASK) from error
    if done.returncode:
        raise _explain(name, done.stderr.decode(errors="replace").strip())
    try:
        (described,) = msgspec.json.decode(done.stdout, type=tuple[_Described])
    except msgspec.MsgspecError as error:
        message = f"{ENGINE} image inspect answered something else than an image: {error}"
        raise AirlockError(message, hint=_ASK) from error
    if described.system != "linux":
        raise AirlockError(
            f"the image {quote(name)} is for {quote(described.system)}, and the shim for Linux",
            hint="use an image for Linux",
        )
    return Image(architecture=described.architecture, search_path=_find_path(described))


def _find_path(described: _Described) -> str:
    variables = (described.settings and described.settings.environment) or []
    paths = [word.removeprefix("PATH=") for word in variables if word.startswith("PATH=")]
    # An empty one behind other entries would stand for the current directory.
    return (paths[-1] if paths else "") or _DEFAULT_PATH


def _explain(name: str, said: str) -> AirlockError:
    if "no such image" in said.lower():
        return AirlockError(
            f"there is no image {quote(name)} on this machine",
            hint=f"fetch or build it first: {ENGINE} pull, or {ENGINE} build -t",
        )
    if "invalid reference format" in said.lower():
        return AirlockError(
            f"{quote(name)} is no name of an image",
            hint=f"IMAGE stands for one that this machine has: {ENGINE} images",
        )
    reason = quote(said.splitlines()[-1]) if said else "it does not say why"
    return AirlockError(f"{ENGINE} tells nothing of the image {quote(name)}: {reason}", hint=_ASK)
