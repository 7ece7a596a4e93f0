"""Rule vectors: modules made of the cases, asked about by `check`.

Each case becomes a command of its own whose module has the rules of the case, so that one daemon
answers for all of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from airlock_conformance.asking import ask, decision_of
from airlock_conformance.base_only import without_data
from airlock_conformance.cases import Case
from airlock_conformance.checks import Checks
from airlock_conformance.content import line_of
from airlock_conformance.matching import differences
from airlock_conformance.setup import BOXES, NO_BOX, Installation
from airlock_conformance.violation import Violation


def rules_setup(cases: Iterable[Case]) -> Mapping[str, Any]:
    """Return a setup in which each case is a command with the rules of the case."""
    modules = {_command(case): _module_text(case) for case in cases}
    enabled = ", ".join(_toml(name) for name in modules)
    config = f'[commands]\nenable = [{enabled}]\n\n[log]\npath = "@state@/airlock.log"\n'
    return {
        "config": config + BOXES,
        "profile": "commands = []\n",
        "modules": modules,
    }


def run_rules_case(
    case: Case, installation: Installation, *, patience: float, checks: Checks
) -> None:
    """Ask the daemon about each vector of a case; raises `Violation` that names all wrong ones."""
    wrong: list[str] = []
    causes: list[str] = []
    for vector in case.body["vectors"]:
        response = ask(
            _command(case), vector["args"], installation, patience=patience, checks=checks
        )
        expected = _expected(case, vector)
        if checks.base_only:
            expected = without_data(expected)
        found = differences(expected, response, at="response")
        if found:
            verdict = "allowed" if vector["allowed"] else "denied"
            wrong.append(f"{vector['args']} must be {verdict}: {'; '.join(found)}")
            causes.append(f"rules: what must be {verdict} is {decision_of(response)}")
    if wrong:
        raise Violation("\n".join(wrong), cause=causes[0])


def _expected(case: Case, vector: Mapping[str, Any]) -> Mapping[str, Any]:
    if vector["allowed"]:
        return {"result": {"decision": "allowed"}, "error": {"$absent": True}}
    data: dict[str, Any] = {"kind": "denied", "layer": "module"}
    if "rule" in vector:
        data["rule"] = vector["rule"]
    elif len(case.body.get("deny", ())) == 1:
        data["rule"] = case.body["deny"][0]
    return {"error": {"code": -32600, "data": data}}


def _command(case: Case) -> str:
    return f"r-{case.id}"


def _module_text(case: Case) -> str:
    mode = "deny" if "deny" in case.body else "allow"
    rules = ", ".join(_toml(rule) for rule in case.body[mode])
    return f'[command]\nbin = "/bin/true"\n\n[{mode}]\nargs = [{rules}]\n{NO_BOX}'


def _toml(text: str) -> str:
    # A TOML basic string escapes as JSON does, DEL aside, which no rule has.
    return line_of(text).decode().rstrip("\n")
