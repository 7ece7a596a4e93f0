"""The form of the suite's JSON files."""

import json

from airlock_conformance.layout import data_files, lay_out


def test_each_file_has_the_form() -> None:
    """Writing the files anew changes none of them."""
    texts = {path: path.read_text(encoding="utf-8") for path in data_files()}
    wrong = [str(path) for path, text in texts.items() if lay_out(json.loads(text)) != text]
    assert wrong == [], "write them anew: python -m airlock_conformance.layout"
