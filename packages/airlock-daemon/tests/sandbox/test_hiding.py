"""Where a box has its parts that hides its home."""

from airlock_daemon.command.order import Bounds
from airlock_daemon.sandbox.box import HOME, Bound, Box, Link, Memory, System
from airlock_daemon.sandbox.hiding import drop_hidden, hide, spell_hidden
from airlock_modules import load_builtin, parse_module


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


HOLDING = """
[command]
bin = "tool"
[deny]
args = []
[args]
prepend = ["--config=${TOOL}/x", "--as=${OTHER}", "-q"]
[sandbox]
box = "closed"
programs = []
[credentials.files]
"${TOOL}" = "~/.tool"
"""


def test_a_word_that_tells_a_path_takes_the_place_of_the_variable() -> None:
    """What is not hidden stays as it is written, and variables of others are set."""
    module = parse_module(HOLDING, name="tool", source="tool")
    hidden = {"TOOL": "/run/credentials/1/TOOL", "HOME": "/home/airlock/1"}
    assert spell_hidden(("tool", *module.prepend), hidden) == (
        ("tool", "--config=/run/credentials/1/TOOL/x", "--as=${OTHER}", "-q"),
        {"HOME": "/home/airlock/1"},
    )


def test_a_command_without_a_box_gets_no_such_word() -> None:
    """Nothing is hidden there: docker reads the human's own configuration."""
    assert drop_hidden(load_builtin("docker")) == ()
    module = parse_module(HOLDING, name="tool", source="tool")
    assert drop_hidden(module) == ("--as=${OTHER}", "-q")
