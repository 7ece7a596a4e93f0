"""What the built-in modules decide, and what the workspace step will make of it, links aside."""

import posixpath

from airlock_modules import Decision, Grant, builtin_names, evaluate, load_builtin

GRANT = Grant(
    ceiling=builtin_names(), modules={name: load_builtin(name) for name in builtin_names()}
)
"""All built-in modules."""


def ask(command: str, *args: str) -> Decision:
    """Return what the built-in module of the command decides."""
    return evaluate(GRANT, command, args)


def leads_out(path: str) -> bool:
    """Tell whether a path leads out of the directory of the run."""
    normal = posixpath.normpath(path)
    return normal.startswith(("/", "~")) or normal.split("/")[0] == ".."


def passes(decision: Decision, *, boxed: bool = False) -> bool:
    """Tell whether a request runs: allowed by the rules, and its paths stay inside.

    Where the tool is `boxed`, paths are left to the box.
    """
    inside = boxed or not any(leads_out(use.path) for use in decision.paths)
    return decision.allowed and inside
