"""A container engine's information about itself and its containers' system.

A module of its own because `doctor` reads it on systems that trio does not support.
"""

import os
import pwd
from typing import ClassVar

import msgspec


class _Host(msgspec.Struct):
    """The host in `podman info`."""

    kernel: str = ""
    system: str = msgspec.field(name="os", default="")


class EngineInfo(msgspec.Struct):
    """The part of `docker info` and its equivalents about the engine's system.

    `kernel` is "" if the engine does not report it.
    """

    START: ClassVar[str] = "start it: sudo systemctl start docker"
    """The remedy where no engine runs."""

    version: str = msgspec.field(name="ServerVersion", default="")
    system: str = msgspec.field(name="OperatingSystem", default="")
    docker_kernel: str = msgspec.field(name="KernelVersion", default="")
    errors: list[str] = msgspec.field(name="ServerErrors", default=[])
    host: _Host = msgspec.field(default_factory=_Host)

    @property
    def kernel(self) -> str:
        """The kernel release of its containers, as in uname(2)."""
        return self.docker_kernel or self.host.kernel

    def explain_elsewhere(self) -> str | None:
        """Where its containers run; None if on this kernel, or unknown."""
        if "Docker Desktop" in self.system:
            return f"Docker Desktop, Linux {self.kernel}" if self.kernel else "Docker Desktop"
        if not self.kernel or self.kernel == os.uname().release:
            return None
        return f"{self.system or self.host.system or 'another system'}, Linux {self.kernel}"

    @staticmethod
    def advise(said: str) -> str | None:
        """The remedy, by docker's words, for a user without access to it or a host without one."""
        if "permission denied" in said.lower():
            user = pwd.getpwuid(os.geteuid()).pw_name
            return f"sudo usermod -aG docker {user} and log in again (who is in that group is root)"
        return EngineInfo.START if "cannot connect" in said.lower() else None
