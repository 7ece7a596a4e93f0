"""What the workspace step will make of the paths that a decision hands on, links aside."""

import posixpath

from airlock_modules import Decision


def leads_out(path: str) -> bool:
    """Tell whether a path leads out of the directory of the run."""
    normal = posixpath.normpath(path)
    return normal.startswith(("/", "~")) or normal.split("/")[0] == ".."


def passes(decision: Decision) -> bool:
    """Tell whether a request runs: allowed by the rules, and its paths stay inside."""
    return decision.allowed and not any(leads_out(use.path) for use in decision.paths)
