"""Policy vectors: the daemon's own modules, asked about by `check`.

One daemon answers for all tools. It has an agent that may use all of them, maps no directory, and
has in its profile what the files of vectors ask for: only the arguments are judged.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from airlock_conformance.asking import ask, decision_of
from airlock_conformance.base_only import without_data
from airlock_conformance.cases import Case
from airlock_conformance.checks import Checks
from airlock_conformance.content import line_of
from airlock_conformance.matching import differences
from airlock_conformance.setup import BOXES, Installation
from airlock_conformance.violation import NotJudged, Violation

_EXPECTED: Mapping[str, Mapping[str, Any]] = {
    "allowed": {"result": {"decision": "allowed"}, "error": {"$absent": True}},
    "denied": {
        "error": {
            "code": -32600,
            "data": {"kind": "denied", "layer": {"$one_of": ["module", "workspace", "broker"]}},
        }
    },
}


def policy_setup(cases: Collection[Case], modules: Path | None = None) -> Mapping[str, Any]:
    """Return a setup in which each tool of the vectors is granted with its built-in module.

    `modules` is a directory of files ``TOOL.toml`` that take the place of the built-in ones. The
    end of the profile is ``grants`` too: what the files of vectors ask for there.
    """
    tools = sorted({case.body["command"] for case in cases})
    grants = "".join(dict.fromkeys(case.body["profile"] for case in cases))
    files = modules.glob("*.toml") if modules is not None else ()
    enabled = ", ".join(line_of(tool).decode().strip() for tool in tools)
    config = f'[commands]\nenable = [{enabled}]\n\n[log]\npath = "@state@/airlock.log"\n'
    return {
        "config": config + BOXES,
        "profile": f"commands = []\n{grants}",
        "grants": grants,
        "modules": {path.stem: path.read_text() for path in files},
    }


def run_policy_case(
    case: Case, installation: Installation, *, patience: float, checks: Checks
) -> None:
    """Ask the daemon about one vector; raises `Violation` where it decides otherwise.

    Only the refusal of the module, of its broker, or of a path that nothing maps counts as one: a
    tool that is not there denies no evasion. Where the base alone is asked for, the code of a
    denial is enough; raises `NotJudged` where the daemon cannot be sent the arguments.
    """
    tool, result = case.body["command"], case.body["result"]
    response = ask(tool, case.body["args"], installation, patience=patience, checks=checks)
    is_text = all(isinstance(argument, str) for argument in case.body["args"])
    if checks.base_only and not is_text and decision_of(response) == "an error -32602":
        raise NotJudged("arguments that are not UTF-8, which this daemon does not take (B-16)")
    expected = _EXPECTED[result]
    found = differences(
        without_data(expected) if checks.base_only else expected, response, at="response"
    )
    if found:
        flags = ", ".join(case.body["flags"])
        words = " ".join(map(str, (tool, *case.body["args"])))
        raise Violation(
            f"{words}: must be {result} ({flags}: {case.description}); {'; '.join(found)}",
            cause=f"policy: what must be {result} is {decision_of(response)}",
        )
