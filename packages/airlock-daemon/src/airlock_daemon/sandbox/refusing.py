"""Refusing a command whose box cannot be made."""

from collections.abc import Iterator
from contextlib import contextmanager

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.boxes import BUBBLEWRAP, is_home, runs_git
from airlock_daemon.setup.programs import Programs
from airlock_modules import Module

INSTALL_BUBBLEWRAP = "sudo apt-get install bubblewrap"

_LET_BUBBLEWRAP = (
    f'let bubblewrap make boxes, with mode = "auto" in [sandbox] of config.toml{AND_RELOAD}'
)

_OWN_GIT = (
    '; or grant commands = ["git-remote"], and put the container\'s own git to use: airlock-shim '
    "--install-git, where its image is built"
)


def find_bubblewrap_remedy(programs: Programs) -> str:
    """How a person has bubblewrap make the boxes, which is not what makes them now."""
    return INSTALL_BUBBLEWRAP if programs.find(BUBBLEWRAP) is None else _LET_BUBBLEWRAP


def refuse(problem: str, remedy: str, *, wanted: str = "this command") -> Denied:
    """What to raise where there is no box for a command that must have one; `wanted` names it."""
    return Denied(
        f"there is no box for {wanted} on the host: {problem}",
        layer="sandbox",
        rule="no-box",
        hint=f"a person on the host can put that right: {remedy}; airlock-daemon doctor tells more",
    )


@contextmanager
def advising(module: Module) -> Iterator[None]:
    """Have refusals tell what else there is for a command of `module` that has no box."""
    try:
        yield
    except Denied as error:
        if runs_git(module):
            error.hint = f"{error.hint}{_OWN_GIT}"
        elif is_home(module):
            without = f'; or write [sandbox] box = "none" in {module.source}, to run it without'
            error.hint = f"{error.hint}{without}"
        raise
