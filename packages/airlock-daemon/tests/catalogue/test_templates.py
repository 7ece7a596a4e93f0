"""What a message in the source is read as."""

import ast

from catalogue.templates import Source, merge


def read(code: str) -> set[str]:
    """What the calls of `say` in the code can say, arguments with a bar between."""
    source = Source(code)
    said = set()
    for call, place in source.calls:
        if isinstance(call.func, ast.Name) and call.func.id == "say":
            cause, remedy = (source.read(each, place) for each in call.args)
            pairs = [(one, other) for one in cause for other in remedy]
            said |= {f"{a.text}|{b.text}" for a, b in pairs if merge(a, b) is not None}
    return said


def test_values_are_shown_by_name() -> None:
    """What is only known when it runs is its name in braces, without what quotes it."""
    code = "say(f'{quote(use.path)} is {count:d} long, ' + 'not more', 'cut it')"
    assert read(code) == {"{path} is {count} long, not more|cut it"}


def test_what_a_branch_chooses_stays_together() -> None:
    """No cause meets the remedy of another branch, and a default only what goes with it."""
    code = """
def judge(a, b):
    cause, remedy = "is old", "renew it"
    if a:
        cause, remedy = "is new", "wait"
    elif b:
        cause = "is odd"
    say(f"it {cause}", remedy)
"""
    assert read(code) == {"it is old|renew it", "it is new|wait", "it is odd|renew it"}


def test_a_parameter_is_what_callers_give() -> None:
    """A function that makes messages for others stands for as many as it is called for."""
    code = """
refuse("is long", remedy="cut it")
refuse("is gone", remedy="make it")
def refuse(problem, *, remedy):
    problem += ", " + WHY
    say(f"the path {problem}", remedy)
WHY = "so it is refused"
"""
    why = "so it is refused"
    assert read(code) == {f"the path is long, {why}|cut it", f"the path is gone, {why}|make it"}


def test_a_branch_that_leaves_decides_nothing_further_down() -> None:
    """What is said before a return is said there only."""
    code = """
def judge(a):
    remedy = "renew it"
    if a:
        remedy = "wait"
        say("is new", remedy)
        return
    say("is old", remedy)
"""
    assert read(code) == {"is new|wait", "is old|renew it"}
