"""Queries container engines, by their command lines, about a container and their kernel."""

import shutil

import msgspec
import trio

from airlock_daemon.boundary.identity.engine_info import EngineInfo
from airlock_daemon.errors import AND_RELOAD, Failed
from airlock_wire import quote

ENGINES = ("docker", "podman", "nerdctl")
"""Their command lines, in query order."""

ANSWER_S = 10
_ANY = {"MKNOD", "ALL"}


class _State(msgspec.Struct):
    pid: int = msgspec.field(name="Pid")


class _HostConfig(msgspec.Struct):
    added: tuple[str, ...] | None = msgspec.field(name="CapAdd", default=None)
    dropped: tuple[str, ...] | None = msgspec.field(name="CapDrop", default=None)
    is_privileged: bool = msgspec.field(name="Privileged", default=False)


class _Container(msgspec.Struct):
    """The part of `docker inspect` and its equivalents on identity and devices."""

    container_id: str = msgspec.field(name="Id")
    state: _State = msgspec.field(name="State")
    host: _HostConfig = msgspec.field(name="HostConfig", default_factory=_HostConfig)


class Init(msgspec.Struct, frozen=True):
    """A container's init process: its pid, and whether the engine lets root make devices.

    Asked of the engine, since the container's root can change what its processes show in /proc.
    """

    pid: int
    makes_devices: bool


async def find_init(container_id: str, *, search_path: str) -> Init:
    """Ask each engine for the init process of `container_id`, 64 hex digits, until one knows it.

    The pid is 0 if the container is not running. Raises Failed if no engine is installed, answers,
    or knows the container.
    """
    failures = []
    for engine in ENGINES:
        program = shutil.which(engine, path=search_path)
        if program is not None:
            try:
                return await _ask(engine, program, container_id)
            except Failed as failure:
                failures.append(failure)
    if not failures:
        raise Failed(
            f"none of {', '.join(ENGINES)} is on the daemon's PATH, so that no container can be "
            "looked up",
            hint="a person on the host can install that of the engine, or set [daemon] path in "
            f"config.toml{AND_RELOAD}",
        )
    raise failures[0]


async def _ask(engine: str, program: str, container_id: str) -> Init:
    argv = [program, "inspect", "--type", "container", container_id]
    look = (
        f"a person on the host can see as the user of the daemon what {engine} answers: {engine} ps"
    )
    try:
        with trio.fail_after(ANSWER_S):
            done = await trio.run_process(
                argv, capture_stdout=True, capture_stderr=True, check=False, stdin=b""
            )
    except trio.TooSlowError:
        raise Failed(f"{engine} did not answer in {ANSWER_S} s", hint=look) from None
    except OSError as error:
        raise Failed(f"{engine} cannot be run: {error.strerror}", hint=look) from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Failed(
            f"{engine} does not know container {container_id[:12]}: "
            f"{quote(said[-1]) if said else 'it does not say why'}",
            hint="the daemon must be able to ask the engine that runs the container, as its user: "
            f"{engine} inspect {container_id[:12]}",
        )
    try:
        (container,) = msgspec.json.decode(done.stdout, type=tuple[_Container])
    except (msgspec.MsgspecError, ValueError) as error:
        raise Failed(
            f"{engine} inspect answered something else than a container: {error}", hint=look
        ) from error
    if container.container_id != container_id:
        raise Failed(f"{engine} answered for another container", hint=look)
    return Init(container.state.pid, _makes_devices(container.host))


def _makes_devices(host: _HostConfig) -> bool:
    added, dropped = _name(host.added), _name(host.dropped)
    return host.is_privileged or bool(added & _ANY) or not dropped & _ANY


def _name(capabilities: tuple[str, ...] | None) -> set[str]:
    return {each.upper().removeprefix("CAP_") for each in capabilities or ()}


_TIMEOUT_S = 5.0


async def find_elsewhere(search_path: str) -> str | None:
    """Ask the first engine that answers on `search_path` where its containers run.

    None if on this kernel, or if no engine tells.
    """
    for engine in ENGINES:
        program = shutil.which(engine, path=search_path)
        if program is None:
            continue
        try:
            with trio.fail_after(_TIMEOUT_S):
                done = await trio.run_process(
                    (program, "info", "--format", "{{json .}}"),
                    stdin=b"",
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                )
            info = msgspec.json.decode(done.stdout, type=EngineInfo)
        except (OSError, trio.TooSlowError, msgspec.MsgspecError):
            continue
        if info.kernel or info.version:
            return info.explain_elsewhere()
    return None
