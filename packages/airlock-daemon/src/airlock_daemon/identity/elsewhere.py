"""Whether the container engine runs on another kernel than the daemon, as in a virtual machine."""

import os
import shutil

import msgspec
import trio

from airlock_daemon.identity.engines import ENGINES

_LONGEST_S = 5.0


class _Host(msgspec.Struct):
    """What `podman info` says of the system that it runs on."""

    kernel: str = ""
    system: str = msgspec.field(name="os", default="")


class EngineInfo(msgspec.Struct):
    """The part of `docker info`, and of its like, that says on what the engine runs.

    `kernel` is "" where the engine does not say it.
    """

    version: str = msgspec.field(name="ServerVersion", default="")
    system: str = msgspec.field(name="OperatingSystem", default="")
    docker_kernel: str = msgspec.field(name="KernelVersion", default="")
    errors: list[str] = msgspec.field(name="ServerErrors", default=[])
    host: _Host = msgspec.field(default_factory=_Host)

    @property
    def kernel(self) -> str:
        """The release of the kernel of its containers, as uname(2) has it."""
        return self.docker_kernel or self.host.kernel

    def explain_elsewhere(self) -> str | None:
        """Where its containers run, None for this very kernel and where that is not known."""
        if "Docker Desktop" in self.system:
            return f"Docker Desktop, Linux {self.kernel}" if self.kernel else "Docker Desktop"
        if not self.kernel or self.kernel == os.uname().release:
            return None
        return f"{self.system or self.host.system or 'another system'}, Linux {self.kernel}"


async def find_elsewhere(search_path: str) -> str | None:
    """Ask the first engine that answers on `search_path` where its containers run.

    None where that is this kernel, or no engine says.
    """
    for engine in ENGINES:
        program = shutil.which(engine, path=search_path)
        if program is None:
            continue
        try:
            with trio.fail_after(_LONGEST_S):
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
