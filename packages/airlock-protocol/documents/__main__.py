"""`python -m documents SCHEMAS PROTOCOL` writes what is made from the types of the messages.

One file for each kind of message goes into the directory SCHEMAS, and the generated section into
the file PROTOCOL.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from documents.schema import render_document, render_schemas


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(
        prog="python -m documents", description="Write what is made from the types."
    )
    parser.add_argument("schemas", type=Path, help="directory of the JSON Schemas")
    parser.add_argument("protocol", type=Path, help="PROTOCOL.md, whose section is renewed")
    chosen = parser.parse_args(arguments)
    chosen.schemas.mkdir(parents=True, exist_ok=True)
    for name, text in render_schemas().items():
        (chosen.schemas / name).write_text(text, encoding="utf-8")
    document = chosen.protocol.read_text(encoding="utf-8")
    chosen.protocol.write_text(render_document(document), encoding="utf-8")


if __name__ == "__main__":
    main()
