"""What may be executed in a box that holds credentials: the tool alone, or what its module lists.

The tool alone: once it runs, the filter refuses every further execve(2), so that neither a helper
that its configuration names nor a file that the client wrote is run. A list: Landlock lets the
kernel execute these files and no other, and nothing else lies on a mount from which code can be
mapped. So a loader, which is executed with a program that needs it, finds no other code; but it
obeys files without any, so that a list has such programs only where its module says so.
"""

import os
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.platform.linux.landlock import landlock_version
from airlock_daemon.sandbox.box import Bound, Box, System
from airlock_daemon.sandbox.client_files import leads_through
from airlock_daemon.sandbox.hiding import locate
from airlock_daemon.sandbox.programs import SYSTEM
from airlock_daemon.setup.executables import find_listed, is_absent
from airlock_daemon.setup.programs import Programs, find_program
from airlock_daemon.setup.reserved import is_within
from airlock_modules import ANY_PROGRAM, IF_THERE, Sandbox
from airlock_wire import quote

_WITHOUT_LIST = (
    'programs = [] for the tool alone, or ["*"] for all that its box shows, or dynamic = true for '
    "programs with a loader, where no agent chooses how they are started"
)
# Of the first line of a script (execve(2)).
_MOST_LINE = 256
_ENV = "env"


class Bounded(msgspec.Struct, frozen=True):
    """The bound, None for none, and paths of the host that are shown for it, with the box's."""

    bound: Bound | None
    shown: dict[str, str] = {}


def bound_execution(
    sandbox: Sandbox,
    program: str,
    *,
    programs: Programs,
    home: str,
    written: Sequence[str],
    source: str,
) -> Bounded:
    """The bound for `programs` of a `sandbox` and its tool, `program`; the module file is `source`.

    `home` is the human's, and nothing is listed by way of the directories that are `written` by the
    client. Raises Denied (rule "programs").
    """
    entries = sandbox.programs
    if ANY_PROGRAM in entries:
        return Bounded(None)
    present = [entry for entry in entries if not is_absent(entry, programs.path, home)]
    if not present:
        return Bounded(Bound())
    if not landlock_version():
        raise _refuse("the kernel has no Landlock, which keeps a box to a list", source)
    shown: dict[str, str] = {}
    allowed, loaded = list[str](), list[str]()
    for entry in (program, *(each.removesuffix(IF_THERE) for each in present)):
        listed = find_listed(entry, path=programs.path, home=home, dynamic=sandbox.dynamic)
        if isinstance(listed, str):
            raise _refuse(listed, source)
        for each in (listed.path, *listed.loaders, *listed.libraries):
            if leads_through(each, written):
                raise _refuse(f"the way to {quote(each)} leads through a workspace", source)
        real = os.path.realpath(listed.path)
        # Each is a mount of its own: of those in the system's directories nothing else is code.
        is_there = entry == program or any(is_within(real, place) for place in SYSTEM)
        shown[real] = real if is_there else locate(listed.named)
        allowed += (shown[real], *listed.loaders)
        loaded += listed.libraries
        shown |= {each: each for each in (*listed.loaders, *listed.libraries)}
    return Bounded(Bound(tuple(dict.fromkeys(allowed)), tuple(dict.fromkeys(loaded))), shown)


def let_ask(bound: Bound, box: Box, source: str) -> Bound:
    """The bound with the programs of Airlock's own by which `box` asks brokers.

    They are static, and hold nothing. Raises Denied (rule "programs") for the tool alone, which
    cannot ask by them.
    """
    if not bound.programs:
        raise Denied(
            "the box of this command executes its tool alone, and brokers are asked by other "
            "programs",
            layer="sandbox",
            rule="programs",
            hint=f"a person on the host can remove brokers from [sandbox] of {source}, or list in "
            f'programs the static ones that ask, or write ["*"] there{AND_RELOAD}',
        )
    own = (each for each in box.operations if isinstance(each, System) and each.is_own)
    return replace(bound, programs=(*bound.programs, *(each.target for each in own)))


def find_script(program: str, path: str) -> tuple[str, ...]:
    """The words that run a script whose first line has env(1) search its interpreter on `path`.

    The first is the path of that. There are none for another program: the kernel executes those at
    once, while env is one program, and what it executes another.
    """
    try:
        descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ()
    try:
        line = os.read(descriptor, _MOST_LINE)
    finally:
        os.close(descriptor)
    words = os.fsdecode(line[2:].partition(b"\n")[0]).split()
    if not line.startswith(b"#!") or not words or os.path.basename(words[0]) != _ENV:
        return ()
    asked = words[2:] if words[1:2] == ["-S"] else words[1:]
    found = find_program(asked[0], path) if asked else None
    return () if found is None else (found, *asked[1:])


def _refuse(problem: str, source: str) -> Denied:
    return Denied(
        f"the box of this command cannot be kept to a list of programs: {problem}",
        layer="sandbox",
        rule="programs",
        hint=f"a person on the host can write in [sandbox] of {source} {_WITHOUT_LIST}{AND_RELOAD}",
    )
