"""The page of refusals has each one that the sources have, with its rule, remedy and file."""

import ast
import re
from pathlib import Path

import pytest
from tasks.docs_refusals import SOURCES, Refusal, list_refusals, write_refusals_page

_DIRECT = """
def judge(path):
    raise Denied(
        f"the path {quote(path)} is strange",
        layer="workspace",
        rule="strange",
        hint="use another one" + _END,
    )
_END = ", please"
"""
_BY_A_FUNCTION = """
def refuse(problem, *, hint="try again"):
    return Denied(f"no box: {problem}", layer="sandbox", rule="no-box", hint=hint)

def find():
    raise refuse("none is made")
"""
_CALLER = """
from airlock.boxes import refuse

def look(is_late):
    why = "it is late" if is_late else "it is early"
    raise refuse(why, hint=f"come {'earlier' if is_late else 'later'}")
"""
_BRANCHES = """
def judge(asked):
    if asked.region:
        why = "the region"
        return Refusal(message=f"{why} is refused", rule="region", hint="another")
    why = "the name"
    return Refusal(message=f"{why} is refused: not {why}", rule="name", hint="another")
"""


@pytest.fixture(scope="module")
def page() -> str:
    """The page as `./dev docs` has it."""
    return write_refusals_page()


def read(tmp_path: Path, **files: str) -> list[Refusal]:
    """The refusals in files of a package named airlock."""
    package = tmp_path / "airlock"
    package.mkdir()
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    return list_refusals((package,))


def test_a_new_refusal_is_found(tmp_path: Path) -> None:
    """What depends on the request is an ellipsis, and constants are their texts."""
    (found,) = read(tmp_path, paths=_DIRECT)
    assert found == Refusal(
        layer="workspace",
        rule="strange",
        message="the path … is strange",
        remedy="use another one, please",
        file="airlock/paths.py",
    )


def test_a_function_that_refuses_is_as_many_as_its_callers(tmp_path: Path) -> None:
    """Each with what it passes; what it leaves out is the default."""
    found = read(tmp_path, boxes=_BY_A_FUNCTION, other=_CALLER)
    assert {(each.message, each.remedy, each.file) for each in found} >= {
        ("no box: none is made", "try again", "airlock/boxes.py"),
        ("no box: it is late", "come earlier", "airlock/other.py"),
        ("no box: it is early", "come later", "airlock/other.py"),
    }


def test_a_name_means_what_was_last_assigned(tmp_path: Path) -> None:
    """One name is one text within a message."""
    found = read(tmp_path, judge=_BRANCHES)
    assert {(each.rule, each.message) for each in found} == {
        ("region", "the region is refused"),
        ("name", "the name is refused: not the name"),
    }


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
