"""Builds: never by the engine's own builder, but in a container of the agent's.

buildx, to which the engine's builder is refused, makes a container `buildx_buildkit_NAME` of the
image `moby/buildkit:buildx-stable-1`, with all privileges, and speaks to BuildKit by `exec`. With
`[docker] builder` that becomes a container of the granted image, in which BuildKit runs as an
ordinary user (`moby/buildkit:rootless`). Without it the client is told why it is refused.
"""

import tarfile
from http import HTTPStatus

from msgspec.structs import replace

from airlock_modules.engine.container import ContainerOrder, read_container
from airlock_modules.engine.grant import DockerGrant
from airlock_modules.engine.images import ImageName, read_image_name
from airlock_modules.engine.names import Ownership
from airlock_modules.engine.strict import Refused, encode, malformed

_BLOCK = 512
_MAX_CONFIGURATION = 1 << 16
_CONTAINER = "buildx_buildkit_"
_REPOSITORY = "docker.io/moby/buildkit"
_TAGS = "buildx-"

# A process sandbox would mount a /proc in the user namespace, which the engine's masks forbid.
_WORDS = ("--oci-worker-no-process-sandbox",)

# Docker's filter of system calls refuses user namespaces, and mounts in them, which BuildKit makes.
# Without it these would be allowed too, which it refuses as well and BuildKit does not need.
_REFUSED = (
    *("acct", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module"),
    *("finit_module", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup"),
    *("ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "lookup_dcookie", "mbind"),
    *("migrate_pages", "move_pages", "nfsservctl", "open_by_handle_at", "perf_event_open"),
    *("process_vm_readv", "process_vm_writev", "quotactl", "quotactl_fd", "reboot"),
    *("set_mempolicy", "settimeofday", "stime", "swapoff", "swapon", "sysfs", "syslog"),
    *("uselib", "userfaultfd", "ustat", "vhangup", "vm86", "vm86old"),
)
_FILTER = encode(
    {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": list(_REFUSED), "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }
).decode()

# newuidmap and newgidmap map the ids of a user namespace by a capability, which they have of their
# file: with no-new-privileges they would have none.
_LIFTED = {
    "SecurityOpt": [f"seccomp={_FILTER}", "apparmor=unconfined"],
    "CapDrop": ["ALL"],
    "CapAdd": ["SETUID", "SETGID"],
}


def refuse_builder() -> Refused:
    """The refusal of a build: by the engine's own builder, or by one that a client would make."""
    return Refused(
        "no image is built by the engine's own builder, whose caches are the human's too, nor in a "
        "privileged container",
        hint="where the profile names a builder in [docker], buildx builds in a container of the "
        "agent's own (docker build --load); a person on the host can name one, or build the image "
        "and grant its name by images",
        status=HTTPStatus.FORBIDDEN,
        rule="no-builder",
    )


def is_builder(name: str) -> bool:
    """Whether a container of this name, as the client calls it, is one that buildx makes."""
    return name.startswith(_CONTAINER)


def find_builder(image: ImageName, grant: DockerGrant) -> ImageName:
    """The granted builder's image where buildx names its own; any other image as it is.

    Raises Refused without a builder.
    """
    if image.repository != _REPOSITORY or not image.tag.startswith(_TAGS):
        return image
    if not grant.builder:
        raise refuse_builder()
    return read_image_name(grant.builder)


def order_builder(name: str, *, grant: DockerGrant, ownership: Ownership) -> ContainerOrder:
    """The container that is made in place of buildx' own. Raises Refused without a builder."""
    if not grant.builder:
        raise refuse_builder()
    body = encode({"Image": grant.builder, "Cmd": list(_WORDS)})
    order = read_container(body, name=name, grant=grant, ownership=ownership)
    host = order.body["HostConfig"]
    if not isinstance(host, dict):
        raise TypeError(host)
    return replace(order, body={**order.body, "HostConfig": {**host, **_LIFTED}})


def require_ordinary(user: str) -> str:
    """The user of the builder's image. Raises Refused for root, who is an image's by default."""
    name = user.partition(":")[0]
    if name in ("", "root") or (name.isdecimal() and not int(name)):
        raise Refused(
            "the image of the builder runs as root, which no builder is",
            hint="a person on the host can name one that runs as another user in [docker] builder, "
            "such as docker.io/moby/buildkit:rootless",
            rule="builder",
        )
    return user


class NoConfiguration:
    """The archive that buildx copies into a builder, for BuildKit's configuration, emptied.

    It has directories alone, unless a configuration is given. The engine would copy as root.
    """

    def __init__(self) -> None:
        self._archive = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take a piece; nothing is passed on. Raises Refused."""
        self._archive += data
        if len(self._archive) > _MAX_CONFIGURATION:
            raise _refuse_configuration()
        return b""

    def end(self) -> bytes:
        """An archive without entries. Raises Refused for one with files."""
        for at in range(0, len(self._archive), _BLOCK):
            block = bytes(self._archive[at : at + _BLOCK])
            if block.strip(b"\0") and not _is_directory(block):
                raise _refuse_configuration()
        return b"\0" * (2 * _BLOCK)


def _is_directory(block: bytes) -> bool:
    try:
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.TarError, UnicodeDecodeError):
        raise malformed("the archive is no plain tar") from None
    return entry.isdir() and entry.size == 0


def _refuse_configuration() -> Refused:
    return Refused(
        "a builder has no files but those of its image",
        hint="a person on the host can put BuildKit's configuration into the image of builder",
        rule="builder",
    )
