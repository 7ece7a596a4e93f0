"""JSON Schemas (draft 2020-12) of the messages, and the reference section of PROTOCOL.md."""

import json
from typing import Any

import msgspec

from airlock_wire.messages import PROTOCOL_VERSION
from documents.reference import replace_section
from documents.shapes import Shape, list_shapes


def make_schema(shape: Shape) -> dict[str, Any]:
    """The schema of one kind of message."""
    schema = msgspec.json.schema(shape.type)
    for definition in schema["$defs"].values():
        # The first line of a docstring speaks of the message, the rest of the code.
        definition["description"] = definition["description"].partition("\n")[0]
        for member in definition["properties"].values():
            if "anyOf" in member:
                # Releases of msgspec differ in where they put null.
                member["anyOf"].sort(key=lambda option: option.get("type") == "null")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:airlock:protocol:{PROTOCOL_VERSION}:{shape.name}",
        **schema,
    }


def render_schemas() -> dict[str, str]:
    """The text of every schema file, by file name."""
    return {
        f"{shape.name}.json": json.dumps(make_schema(shape), indent=2) + "\n"
        for shape in list_shapes()
    }


def render_document(document: str) -> str:
    """PROTOCOL.md with its generated section renewed.

    Raises ValueError where the document has not both of the section's markers.
    """
    return replace_section(document, [(shape, make_schema(shape)) for shape in list_shapes()])
