"""The section of PROTOCOL.md that lists every message: what it is, its members, examples."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from documents.shapes import Shape

BEGIN: Final = "<!-- generated from the types: begin -->"
END: Final = "<!-- generated from the types: end -->"

_Schema = dict[str, Any]


class _Member(Struct, frozen=True):
    path: str
    type: str
    is_required: bool
    meaning: str


def replace_section(document: str, shapes: Iterable[tuple[Shape, _Schema]]) -> str:
    """`document` with what stands between the markers made anew from shapes and their schemas.

    Raises ValueError where a marker is missing.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document needs the lines {BEGIN} and {END}")
    section = "\n".join(_render(shape, schema) for shape, schema in shapes)
    return f"{before}{BEGIN}\n\n{section}\n{END}{after}"


def _render(shape: Shape, schema: _Schema) -> str:
    root = _resolve(schema, schema)
    rows = [
        f"| `{member.path}` | {member.type} | {'yes' if member.is_required else 'no'}"
        f" | {member.meaning} |"
        for member in _list_members(root, schema, "")
    ]
    return "\n".join(
        [
            f"### `{shape.name}` (from the {shape.sender})",
            "",
            root["description"],
            "",
            "| member | type | required | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "```json",
            *shape.examples,
            "```",
            "",
        ]
    )


def _list_members(node: _Schema, schema: _Schema, prefix: str) -> Iterator[_Member]:
    required = set(node.get("required", ()))
    for name, member in node["properties"].items():
        path = prefix + name
        meaning = member.get("description") or _resolve(member, schema)["description"]
        yield _Member(path, _name_type(member, schema), name in required, meaning)
        for option in member.get("anyOf", [member]):
            target = _resolve(option, schema)
            if "properties" in target and "base64" not in target["properties"]:
                yield from _list_members(target, schema, f"{path}.")


def _name_type(node: _Schema, schema: _Schema) -> str:
    """The type of a member in the words of a table cell."""
    if "anyOf" in node and "enum" not in node:
        return " or ".join(_name_type(option, schema) for option in node["anyOf"])
    target = _resolve(node, schema)
    if "enum" in target:
        return ", ".join(f"`{value}`" for value in target["enum"] if value is not None)
    kind = target["type"]
    if kind == "array":
        return f"list of ({_name_type(target['items'], schema)})"
    if kind == "object":
        return _name_object(target, schema)
    if kind == "integer":
        return _name_integer(target)
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _name_object(node: _Schema, schema: _Schema) -> str:
    if "additionalProperties" in node:
        return f"object of ({_name_type(node['additionalProperties'], schema)})"
    return '`{"base64": string}`' if "base64" in node["properties"] else "object"


def _name_integer(node: _Schema) -> str:
    if "maximum" in node:
        return f"integer from {node['minimum']} to {node['maximum']}"
    return f"integer, at least {node['minimum']}" if "minimum" in node else "integer"


def _resolve(node: _Schema, schema: _Schema) -> _Schema:
    """`node`, or the definition that it refers to."""
    reference = node.get("$ref")
    if reference is None:
        return node
    target: _Schema = schema["$defs"][reference.removeprefix("#/$defs/")]
    return target
