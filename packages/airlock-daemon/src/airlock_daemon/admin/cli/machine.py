"""What makes a container a machine for its user: an account, a home, a name for git, login shells.

The files are in the directory of containers (`Locations.containers_dir`), which is Airlock's own:

    homes/AGENT/     the agent's home, which its containers write. Nothing on the host obeys it, and
                     nothing here opens what is in it by a path.
    images/ID/       passwd and group of that image with the user's own entries
    etc/             the same for an image that is not known, and the file for login shells
"""

import grp
import os
import pwd
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress

import msgspec

from airlock_daemon.admin.cli.image import Image, open_image
from airlock_daemon.admin.cli.wiring import HOME, HOST_PROGRAMS, OWN_PROGRAMS, Machine, Mount
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import make_directory, read_exact, write_text
from airlock_daemon.setup.client import ContainerClient
from airlock_daemon.setup.generation import Locations
from airlock_daemon.setup.human_git import HumanGit

_ANOTHER_NAME = "airlock-agent"
"""The user's name if the image has an account with the original one."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_LOGIN = "/etc/profile.d/zz-airlock.sh"
"""Read by the /etc/profile of Debian, Alpine, Fedora and Arch, after other files there."""

_PATH_FIRST = f"""\
# A login shell sets PATH anew, without the commands of Airlock.
case ":$PATH:" in
*:{OWN_PROGRAMS}:*) ;;
*) PATH="{OWN_PROGRAMS}:$PATH:{HOST_PROGRAMS}" ;;
esac
export PATH
"""

_USERS = """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/sbin/nologin
"""
_GROUPS = """\
root:x:0:
nogroup:x:65534:
"""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """The user of a container: the caller, with the host's names for both ids."""

    uid: int
    gid: int
    name: str
    group: str

    @classmethod
    def find(cls) -> "User":
        """The user of this process."""
        uid, gid = os.geteuid(), os.getegid()
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = _ANOTHER_NAME
        try:
            group = grp.getgrgid(gid).gr_name
        except KeyError:
            group = name
        return cls(uid=uid, gid=gid, name=name, group=group)

    @property
    def ids(self) -> str:
        """UID:GID, in docker's syntax."""
        return f"{self.uid}:{self.gid}"


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """/etc/passwd and /etc/group for a container; None if the image's are sufficient."""

    passwd: str | None
    group: str | None


class KnownImage(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of an image: `accounts` for `user`, and which tools are on its PATH.

    `tools` has an answer for each requested tool. `stores` are its files of CA certificates.
    """

    user: User
    accounts: Accounts
    tools: dict[str, bool]
    stores: tuple[str, ...]

    @property
    def has_git(self) -> bool:
        """Whether it has git."""
        return self.tools["git"]


def add_user(user: User, *, passwd: str | None, group: str | None, login_shell: str) -> Accounts:
    """Add `user` to the files if it is missing; a file is None if the image has none."""
    users = _read_ids(_USERS if passwd is None else passwd)
    groups = _read_ids(_GROUPS if group is None else group)
    name = user.name if user.name not in users else _ANOTHER_NAME
    label = user.group if user.group not in groups else _ANOTHER_NAME
    entry = f"{name}:x:{user.uid}:{user.gid}::{HOME}:{login_shell}"
    return Accounts(
        passwd=_add(passwd, _USERS, users, id_=user.uid, entry=entry),
        group=_add(group, _GROUPS, groups, id_=user.gid, entry=f"{label}:x:{user.gid}:"),
    )


def _add(
    own: str | None, usual: str, ids: Mapping[str, str], *, id_: int, entry: str
) -> str | None:
    """The file with `entry` appended, None if the image's `own` has the id."""
    if str(id_) in ids.values():
        return usual if own is None else None
    text = usual if own is None else own
    return "\n".join((*text.splitlines(), entry, ""))


def read_image(
    engine: str, image: Image, *, locations: Locations, user: User, tools: Iterable[str] = ()
) -> KnownImage:
    """Read what a container needs of an image, and whether it has `tools`, and git.

    Each image is read once for the same tools. Raises AirlockError.
    """
    wanted = {"git", *tools}
    note = os.path.join(_find_folder(locations, image), "known.json")
    try:
        known = msgspec.json.decode(read_exact(note) or "", type=KnownImage)
    except msgspec.MsgspecError:
        known = None
    if known is None or known.user != user or not wanted <= set(known.tools):
        with open_image(engine, image) as files:
            known = KnownImage(
                user=user,
                accounts=add_user(
                    user,
                    passwd=files.read("/etc/passwd"),
                    group=files.read("/etc/group"),
                    login_shell="/bin/bash" if files.has("/bin/bash") else "/bin/sh",
                ),
                tools={
                    tool: any(
                        files.has(f"{directory}/{tool}")
                        for directory in image.search_path.split(os.pathsep)
                        if directory.startswith("/")
                    )
                    for tool in sorted(wanted)
                },
                stores=tuple(path for path in ContainerClient.STORES if files.has(path)),
            )
        write_public(note, msgspec.json.encode(known).decode())
    return known


def write_public(path: str, text: str) -> None:
    """Write a file that every user of a container may read, in a private directory.

    Does nothing if it has this text already. Raises AirlockError.
    """
    make_directory(os.path.dirname(path), mode=0o700, undo=ExitStack())
    if read_exact(path) != text:
        write_text(path, text, mode=0o644)


def prepare_machine(
    locations: Locations,
    agent: str,
    *,
    user: User,
    search_path: str,
    image: Image | None = None,
    known: KnownImage | None = None,
) -> Machine:
    """Write the files for a container of `agent`, and return its mounts and variables.

    `known` is the result of `read_image` for `image`; both are None for an unknown image. The git
    of `search_path` provides the user's name and email. Raises AirlockError.
    """
    etc = os.path.join(locations.containers_dir, "etc")
    folder = etc if image is None else _find_folder(locations, image)
    accounts = add_user(user, passwd=_USERS, group=_GROUPS, login_shell="/bin/sh")
    if known is not None:
        accounts = known.accounts
    files = [
        (os.path.join(folder, "passwd"), "/etc/passwd", accounts.passwd),
        (os.path.join(folder, "group"), "/etc/group", accounts.group),
        # For an unknown image, the shim is in a directory that is on login shells' PATH.
        (os.path.join(etc, "profile.sh"), _LOGIN, None if image is None else _PATH_FIRST),
    ]
    home = _make_home(locations, agent, begin=HumanGit.read_identity(search_path, os.environ))
    mounts = [Mount(source=home, target=HOME)]
    for path, target, text in files:
        if text is not None:
            write_public(path, text)
            mounts.append(Mount(source=path, target=target, read_only=True))
    return Machine(mounts=tuple(mounts), environment={"HOME": HOME})


def find_home(locations: Locations, agent: str) -> str | None:
    """The path of an agent's home, None if it has none yet."""
    home = _home(locations, agent)
    return home if os.path.isdir(home) else None


def _home(locations: Locations, agent: str) -> str:
    return os.path.join(locations.homes_dir, agent)


def make_mount_point(locations: Locations, agent: str, target: str) -> None:
    """Create a mount point in the agent's home for a file mounted at `target`, if below ~.

    Otherwise the engine would create it and its parents as root. Raises AirlockError.
    """
    if not target.startswith("~/") or find_home(locations, agent) is None:
        return
    *folders, name = target.removeprefix("~/").split("/")
    opened = _open_home(locations, agent)
    try:
        for folder in folders:
            with suppress(FileExistsError):
                os.mkdir(folder, 0o755, dir_fd=opened)
            inner = os.open(folder, _DIRECTORY, dir_fd=opened)
            os.close(opened)
            opened = inner
        with suppress(FileExistsError):
            os.close(os.open(name, _NEW, 0o644, dir_fd=opened))
    except OSError as error:
        home = _home(locations, agent)
        raise AirlockError(
            f"nothing can be mounted at {target} in {home}: {error.strerror}",
            hint="move away what the agent has put there",
        ) from error
    finally:
        os.close(opened)


def _make_home(locations: Locations, agent: str, *, begin: str) -> str:
    """Create the agent's home, with `begin` as a new .gitconfig; return its path."""
    home = _home(locations, agent)
    make_directory(home, mode=0o700, undo=ExitStack())
    opened = _open_home(locations, agent)
    try:
        with suppress(FileExistsError):
            if begin:
                file = os.open(".gitconfig", _NEW, 0o644, dir_fd=opened)
                with open(file, "w", encoding="utf-8") as stream:
                    stream.write(begin)
    finally:
        os.close(opened)
    return home


def _open_home(locations: Locations, agent: str) -> int:
    """Open the home. Containers control its content, including symlinks."""
    home = _home(locations, agent)
    try:
        return os.open(home, _DIRECTORY)
    except OSError as error:
        raise AirlockError(
            f"{home} cannot be the home of {agent}: {error.strerror}",
            hint="move away what is there; the home is a directory of yours",
        ) from error


def _find_folder(locations: Locations, image: Image) -> str:
    identity = image.identity.rpartition(":")[2]
    return os.path.join(locations.containers_dir, "images", identity)


def _read_ids(text: str) -> dict[str, str]:
    """The names of passwd(5) or group(5), with their ids."""
    entries = (line.split(":") for line in text.splitlines())
    return {fields[0]: fields[2] for fields in entries if len(fields) > 2}
