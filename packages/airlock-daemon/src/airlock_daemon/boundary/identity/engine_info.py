"""A container engine's information on itself and on the system of its containers.

A module of its own, since `doctor` reads it on systems that trio does not know.
"""

import os

import msgspec


class _Host(msgspec.Struct):
    """`podman info` on its system."""

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
