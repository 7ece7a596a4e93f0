"""What is left to judge where an implementation knows the base of the protocol alone.

It may refuse to start where a file has a table or key that it does not know, so that nothing is
written which only later versions have.
"""

from collections.abc import Mapping
from typing import Any

from airlock_conformance.cases import Case
from airlock_conformance.setup import BOXES, NO_BOX


def is_of_the_base(case: Case) -> bool:
    """Whether a case says something about an implementation without features and `data`."""
    return not case.needs and not any(number.startswith("F-") for number in case.reference)


def find_excuse(case: Case) -> str:
    """Why a policy vector says nothing about a daemon without boxes, "" where it says something."""
    is_boxed = case.role == "policy" and case.body["canary"]
    return "harmless in a box alone, and a daemon of the base has none" if is_boxed else ""


def without_data(pattern: Any) -> Any:
    """Return an expected response whose errors are told by their code, whatever their `data`."""
    match pattern:
        case {"error": {**error}, **rest}:
            kept = {name: part for name, part in error.items() if name != "data"}
            return {**without_data(rest), "error": kept}
        case dict():
            return {name: without_data(part) for name, part in pattern.items()}
        case list():
            return [without_data(part) for part in pattern]
    return pattern


def for_the_base(setup: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a setup whose files say nothing of boxes, and grant nothing to boxes or brokers."""
    texts = {"config": setup["config"].removesuffix(BOXES)}
    if "grants" in setup:
        texts["profile"] = setup["profile"].removesuffix(setup["grants"])
    if "module" in setup:
        texts["module"] = setup["module"].replace(NO_BOX, "")
    modules = {name: text.replace(NO_BOX, "") for name, text in setup.get("modules", {}).items()}
    return {**setup, **texts, "modules": modules}
