"""What is left to judge where an implementation knows the base of the protocol alone."""

from collections.abc import Mapping
from typing import Any

from airlock_conformance.cases import Case
from airlock_conformance.setup import BOXES, NO_BOX


def is_of_the_base(case: Case) -> bool:
    """Whether a case says something about an implementation without features and `data`."""
    return not case.needs and not any(number.startswith("F-") for number in case.reference)


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


def without_boxes(setup: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a setup that says nothing of boxes: no file of a daemon of the base knows of them."""
    texts = {"config": setup["config"].removesuffix(BOXES)}
    if "module" in setup:
        texts["module"] = setup["module"].replace(NO_BOX, "")
    modules = {name: text.replace(NO_BOX, "") for name, text in setup.get("modules", {}).items()}
    return {**setup, **texts, "modules": modules}
