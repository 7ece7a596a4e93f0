"""The page of refusals has each one that the sources have, with its rule, remedy and file."""

import ast
import re

import pytest
from tasks.docs_refusals import SOURCES, write_refusals_page


@pytest.fixture(scope="module")
def page() -> str:
    """The page as `./dev docs` has it."""
    return write_refusals_page()


def test_each_rule_of_a_refusal_is_on_the_page(page: str) -> None:
    """As a heading, and with the file where it stands or one that calls it."""
    headings = set(re.findall("^### `(.+)`$", page, re.MULTILINE))
    rules = {
        word.value.value
        for source in SOURCES
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Denied"
        for word in node.keywords
        if word.arg == "rule" and isinstance(word.value, ast.Constant)
    }
    assert len(rules) > 50
    assert rules <= headings


def test_each_entry_says_what_to_do_and_who_decides(page: str) -> None:
    """In one line."""
    entries = re.findall("^- .*", page, re.MULTILINE)
    assert len(entries) > 300
    form = re.compile(r"- \*\*.+\*\*: .*\w.* \((`airlock_(daemon|modules)/[\w/]+\.py`(, )?)+\)")
    assert [entry for entry in entries if not form.fullmatch(entry)] == []


@pytest.mark.parametrize(
    ("words", "rule", "file"),
    [
        ("leads out of the workspace", "outside", "boundary/workspace/path_arguments.py"),
        ("bubblewrap is not installed", "no-box", "boundary/box/choice.py"),
        ("protect forbids it", "protect", "remotes/push.py"),
        ("the region … is not granted", "regions", "apis/aws/grant.py"),
        ("no directory of the host is mounted at", "unmapped", "boundary/workspace/mapping.py"),
    ],
)
def test_what_people_meet_is_there(page: str, words: str, rule: str, file: str) -> None:
    """Under its rule, with the file that decides."""
    sections = re.split("^### ", page, flags=re.MULTILINE)
    lines = [
        line
        for section in sections
        if section.startswith(f"`{rule}`")
        for line in section.splitlines()
        if words in line.replace("\\", "")
    ]
    assert any(file in line for line in lines)
