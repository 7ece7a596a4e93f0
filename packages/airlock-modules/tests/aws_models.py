"""Run by the Python of an installed aws: print what its own tables and models say, as JSON.

Standard input has the subcommands to describe, one a line. The answer has `globals`, the names of
the global flags; `flags`, for each subcommand that exists the names of its flags; and `answers`,
for each operation of a service the members of its answer: path, what the model says of it
("sensitive", "signed" for a link that needs no login, or nothing), and type.
"""

import json
import re
import sys
from typing import Any

from awscli.clidriver import create_clidriver  # type: ignore[import-not-found]

_DEEPEST = 12
_SIGNED = re.compile(r"pre-?signed", re.IGNORECASE)


def walk(shape: Any, path: str, above: frozenset[str], found: list[tuple[str, str, str]]) -> None:
    """Add the members of a shape to `found`; a shape inside itself is looked at once."""
    mark = "signed" if _SIGNED.search(shape.documentation or "") else ""
    mark = "sensitive" if shape.metadata.get("sensitive") else mark
    found.append((path, mark, shape.type_name))
    if shape.name in above or len(above) > _DEEPEST:
        return
    above |= {shape.name}
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            walk(member, f"{path}.{name}", above, found)
    elif shape.type_name == "list":
        walk(shape.member, path, above, found)
    elif shape.type_name == "map":
        walk(shape.value, path, above, found)


def describe(wanted: list[str]) -> dict[str, Any]:
    """Return the answer for the subcommands that are asked about."""
    driver = create_clidriver()
    flags: dict[str, list[str]] = {}
    answers: dict[str, list[tuple[str, str, str]]] = {}
    for key in wanted:
        command: Any = driver
        for word in key.split(" "):
            command = command.subcommand_table.get(word) if command is not None else None
        if command is None:
            continue
        arguments = command.arg_table.values()
        flags[key] = [each.name for each in arguments if each.cli_name.startswith("--")]
        model = getattr(command, "_operation_model", None)
        if model is not None and model.output_shape is not None:
            walk(model.output_shape, "", frozenset(), answers.setdefault(key, []))
    return {"globals": [*driver.arg_table], "flags": flags, "answers": answers}


if __name__ == "__main__":
    json.dump(describe(sys.stdin.read().splitlines()), sys.stdout)
