"""Where a box has its parts that hides its home."""

from airlock_daemon.command.order import Bounds
from airlock_daemon.sandbox.box import HOME, Bound, Box, Link, Memory, System
from airlock_daemon.sandbox.hiding import hide


def test_a_link_leads_from_the_hidden_home_to_what_may_be_executed() -> None:
    """Which has the path that the module says; everything else of the home is moved."""
    listed = System("/home/me/.plugins", f"{HOME}/.plugins")
    box = Box(
        operations=(
            Memory(HOME, 0o700, 1),
            listed,
            System("/home/me/read", f"{HOME}/read"),
        ),
        directory="/",
        is_shared=False,
        bounds=Bounds(),
        sockets="none",
        bound=Bound(("/usr/bin/tool", listed.target)),
    )
    hidden, variables = hide(box)
    home = variables["HOME"]
    assert home.startswith(f"{HOME}/")
    assert listed in hidden.operations
    assert Link(listed.target, f"{home}/.plugins") in hidden.operations
    assert System("/home/me/read", f"{home}/read") in hidden.operations
    assert hidden.bound == box.bound
