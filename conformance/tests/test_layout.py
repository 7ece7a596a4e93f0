"""The form of the suite's JSON files."""

import json

from airlock_conformance.layout import WIDTH, data_files, lay_out

LONG = "x" * 120


def test_each_file_has_the_form() -> None:
    """Writing the files anew changes none of them."""
    texts = {path: path.read_text(encoding="utf-8") for path in data_files()}
    wrong = [str(path) for path, text in texts.items() if lay_out(json.loads(text)) != text]
    assert wrong == [], "write them anew: python -m airlock_conformance.layout"


def test_what_fits_is_one_line() -> None:
    """A value that fits stays together, up to the last column and no further."""
    fits = ["x" * (WIDTH - 5)]
    assert lay_out(fits) == f'["{fits[0]}"]\n'
    assert lay_out([fits[0] + "x"]) == f'[\n "{fits[0]}x"\n]\n'


def test_parts_without_an_object_share_a_line() -> None:
    """What names a case stands together; what it does begins lines of its own."""
    case = {"id": "a", "needs": ["tty"], "steps": [{"send": LONG}, {"send": LONG}], "expect": {}}
    assert lay_out(case) == (
        '{\n "id": "a", "needs": ["tty"],\n "steps": [\n'
        f'  {{"send": "{LONG}"}},\n  {{"send": "{LONG}"}}\n ],\n "expect": {{}}\n}}\n'
    )


def test_each_entry_of_a_table_has_a_line() -> None:
    """Where all values are of one type, none shares its line."""
    assert lay_out({"a": ["é"], "b": [LONG], "c": [LONG]}) == (
        f'{{\n "a": ["é"],\n "b": ["{LONG}"],\n "c": ["{LONG}"]\n}}\n'
    )


def test_words_of_a_long_list_fill_lines() -> None:
    """A list of words takes as few lines as it can."""
    assert lay_out([LONG, "a", "b", LONG]) == f'[\n "{LONG}", "a", "b",\n "{LONG}"\n]\n'


def test_characters_that_show_nothing_are_escaped() -> None:
    """What could hide or reorder text stands as its number; letters stand as they are."""
    text = "é😀\u202e\u00a0\x7f\U000e0001"
    laid_out = lay_out([text])
    assert laid_out == '["é😀\\u202e\\u00a0\\u007f\\udb40\\udc01"]\n'
    assert json.loads(laid_out) == [text]
