"""Containers of other images that have a git of their own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.journeys.remotes.field import Field
from e2e.journeys.remotes.layouts import LAYOUTS
from e2e.world.command import CommandFailed, run
from e2e.world.container import Container, Setup, started
from e2e.world.images import Images, temporary_image

_TOOLS = "/tools"
SHELL, PATH = f"{_TOOLS}/sh", f"/usr/bin:{_TOOLS}"
"""The shell beside the git of an image that has none, and the PATH of its scripts."""


@contextmanager
def in_busybox(field: Field, images: Images) -> Iterator[Container]:
    """A container of busybox with git copied into it, as Alpine has it, told of the shim."""
    recipe = LAYOUTS["libexec"].format(debian=images.debian, busybox=images.busybox)
    with (
        temporary_image("remotes-busybox", recipe) as image,
        field.mount_shim(field.setup(image)).running() as container,
    ):
        container.run("/usr/local/bin/airlock-shim", "--install-git", cwd="/").succeeded()
        yield container


@contextmanager
def in_git_alone(field: Field, images: Images) -> Iterator[Container]:
    """A container of git and the shim alone.

    A shell for scripts is beside them, where git does not find it: it knows /bin/sh only.
    """
    binary = shutil.which("busybox")
    if binary is None:
        raise CommandFailed("there is no busybox on PATH; install Debian's busybox-static")
    with tempfile.TemporaryDirectory(prefix="airlock-e2e-") as folder:
        Path(folder).chmod(0o755)
        shutil.copy(binary, f"{folder}/busybox")
        for applet in run((binary, "--list")).succeeded().stdout.split():
            if applet != "busybox":
                Path(folder, applet).symlink_to("busybox")
        setup = field.setup(images.git_alone)
        beside = Setup(image=setup.image, mounts={**setup.mounts, _TOOLS: (Path(folder), "ro")})
        command = (f"{_TOOLS}/sleep", "infinity")
        with started(beside.image, *beside.words(), command=command) as container:
            yield container
