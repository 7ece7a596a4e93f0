"""An emulated machine with Debian's kernel, for features that this host's kernel lacks.

It has no disk and no network. Its root is in memory, made from a Docker image.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .command import run
from .engine import docker

END = "== the end"
TIMEOUT_S = 800.0

_KERNEL = (
    "console=ttyS0 quiet panic=-1 security=apparmor systemd.show_status=0 systemd.getty_auto=0"
)

# The kernel's initial root cannot be replaced by pivot_root(2), so everything is moved.
_BEGIN = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir /new
mount -t tmpfs -o size=80%,mode=755 new /new
for each in /*; do [ "$each" = /new ] || cp -a "$each" /new/; done
exec switch_root /new /second
"""
_SECOND = f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t securityfs security /sys/kernel/security
mount -t tmpfs tmp /tmp
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
exec >/dev/ttyS0 2>&1 </dev/null
echo 1 >/proc/sys/kernel/printk
[ ! -e /etc/systemd/system/steps.service ] || exec /lib/systemd/systemd
sh /steps
echo "{END}"
echo o >/proc/sysrq-trigger
sleep 600
"""
_UNIT = f"""\
[Unit]
Wants=systemd-user-sessions.service
After=systemd-user-sessions.service systemd-logind.service

[Service]
Type=oneshot
Environment=HOME=/root
ExecStart=/bin/sh /steps
ExecStopPost=/bin/echo "{END}"
ExecStopPost=/bin/sh -c "echo o >/proc/sysrq-trigger"
StandardOutput=file:/dev/ttyS0
StandardError=inherit

[Install]
WantedBy=multi-user.target
"""


def why_not() -> str | None:
    """Return what is missing for it, or None."""
    missing = [each for each in ("qemu-system-x86_64", "cpio") if shutil.which(each) is None]
    if missing:
        return f"{' and '.join(missing)} is not installed"
    return None if os.uname().machine == "x86_64" else "the machine that is emulated is x86-64"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMachine:
    """A machine that boots `kernel` with `root`, an archive (cpio, newc) of its files."""

    kernel: Path
    root: Path

    @classmethod
    def make(cls, image: str, *, folder: Path) -> "VirtualMachine":
        """Make one from a Docker image, in the empty `folder`, with the kernel of apt.

        Raises CommandFailed if that cannot be fetched.
        """
        files = folder / "files"
        files.mkdir()
        made = docker("create", image, "none").succeeded().stdout
        try:
            archive = folder / "files.tar"
            docker("export", f"--output={archive}", made).succeeded()
        finally:
            docker("rm", made).succeeded()
        run(("tar", "--extract", f"--file={archive}", f"--directory={files}")).succeeded()
        _write_program(files / "init", _BEGIN)
        _write_program(files / "second", _SECOND)
        return cls(kernel=_fetch_kernel(folder), root=_pack(files, folder / "root.cpio"))

    def run(self, steps: str, *, folder: Path, systemd: bool = False) -> dict[str, str]:
        """Boot it, run `steps` by sh as root, and return the output by title.

        An output line that begins with "== " is the title of what follows. With `systemd` the steps
        run as a service of the image's systemd.
        """
        extra = folder / "extra"
        units = extra / "etc/systemd/system"
        (units / "multi-user.target.wants").mkdir(parents=True)
        if systemd:
            (units / "steps.service").write_text(_UNIT)
            (units / "multi-user.target.wants/steps.service").symlink_to("../steps.service")
        (extra / "steps").write_text(steps)
        more = _pack(extra, folder / "extra.cpio")
        both = folder / "both.cpio"
        with both.open("wb") as written:
            for part in (self.root, more):
                with part.open("rb") as read:
                    shutil.copyfileobj(read, written)
        said = run(
            (
                *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "3G", "-no-reboot"),
                *("-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none"),
                *("-kernel", str(self.kernel), "-initrd", str(both)),
                *("-append", _KERNEL),
            ),
            longest_s=TIMEOUT_S,
        ).succeeded()
        both.unlink()
        return dict(_divide(said.stdout))


def _divide(said: str) -> Mapping[str, str]:
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in said.replace("\r", "").splitlines():
        if line.startswith("== "):
            current = parts.setdefault(line.removeprefix("== "), [])
        else:
            current.append(line)
    return {title: "\n".join(lines) for title, lines in parts.items()}


def _fetch_kernel(folder: Path) -> Path:
    """Fetch this release's kernel package, and return the kernel in it."""
    depends = run(("apt-cache", "depends", "linux-image-amd64")).succeeded().stdout
    (package,) = [line.split()[-1] for line in depends.splitlines() if "Depends:" in line]
    run(("apt-get", "download", package), cwd=str(folder), longest_s=300).succeeded()
    (archive,) = folder.glob("linux-image-*.deb")
    unpacked = folder / "kernel"
    run(("dpkg-deb", "--extract", str(archive), str(unpacked))).succeeded()
    (kernel,) = unpacked.glob("boot/vmlinuz-*")
    return kernel


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _pack(folder: Path, archive: Path) -> Path:
    pack = 'find . | cpio --create --format=newc --quiet >"$1"'
    run(("sh", "-c", pack, "sh", str(archive)), cwd=str(folder)).succeeded()
    return archive
