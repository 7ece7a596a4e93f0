"""`airlock shim`."""

import os
import shutil
import stat
from typing import Annotated

import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import replacing
from airlock_daemon.setup.generation import Programs
from airlock_daemon.setup.shim_program import find_shim

_NAME = "airlock-shim"
# A socket path that every release's shim contains.
_MARK = b"/run/docker-airlock.sock"
_MAX_LENGTH = 16 << 20


def shim(
    application: Application,
    path: Annotated[
        str | None,
        typer.Argument(metavar="[PATH]", help="Where to copy it: a file, or a directory."),
    ] = None,
    print_path: Annotated[
        bool, typer.Option("--print-path", help="Print where the shim is, and copy nothing.")
    ] = False,
    arch: Annotated[
        str | None,
        typer.Option(
            metavar="ARCH",
            help="Processor of the containers: x86_64 or aarch64.  [default: this machine's]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Copy the shim into a build context, or print its path.

    Replaces a shim at PATH; anything else there stays, and is an error.
    """
    if print_path == (path is not None):
        raise typer.BadParameter("name either a PATH to copy the shim to, or --print-path")
    path_here = Programs.of(None, workspaces=application.list_written(), warnings=[]).path
    source = find_shim(arch, search_path=path_here)
    if path is not None:
        path = os.path.join(path, _NAME) if os.path.isdir(path) else path
        _copy(source, path)
    line = source if path is None else f"copied the shim to {path}"
    application.print({"shim": source, "copied_to": path}, [line])


def _copy(source: str, path: str) -> None:
    if not _may_replace(path):
        raise AirlockError(
            f"{path} is there already, and is no copy of the shim",
            hint="remove it first, or name another place",
        )
    try:
        # A new file replaces it: a running executable cannot be written.
        with open(source, "rb") as old, replacing(path) as new:
            shutil.copyfileobj(old, new)
            os.fchmod(new.fileno(), 0o755)
    except OSError as error:
        raise AirlockError(
            f"the shim cannot be copied to {path}: {error.strerror}",
            hint="name a file in a directory that is there and that you may write to",
        ) from error


def _may_replace(path: str) -> bool:
    """Whether `path` is missing, or a file that is a shim."""
    try:
        info = os.lstat(path)
        if not stat.S_ISREG(info.st_mode) or info.st_size > _MAX_LENGTH:
            return False
        with open(path, "rb") as file:
            text = file.read(_MAX_LENGTH)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return text.startswith(b"\x7fELF") and _MARK in text
