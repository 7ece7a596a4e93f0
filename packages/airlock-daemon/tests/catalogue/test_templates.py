"""What a message in the source is read as."""

import ast

from catalogue.choices import merge
from catalogue.templates import Source


def read(**modules: str) -> set[str]:
    """What the calls of `say` in the modules can say, arguments with a bar between."""
    source = Source(modules)
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
    assert read(module=code) == {"{path} is {count} long, not more|cut it"}


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
    assert read(module=code) == {"it is old|renew it", "it is new|wait", "it is odd|renew it"}


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
    assert read(module=code) == {
        f"the path is long, {why}|cut it",
        f"the path is gone, {why}|make it",
    }


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
    assert read(module=code) == {"is new|wait", "is old|renew it"}


def test_a_text_is_followed_into_other_modules() -> None:
    """What a function or constant of another module says is what a person reads."""
    asking = """
from other import WHY, find
def ask(hint="wait for it"):
    if problem := find():
        say(f"it {problem}, {WHY}", hint)
"""
    other = """
from asking import ask
def find():
    return None if good else "is an old one" if old else "is a new one"
WHY = "so it is refused"
ask()
ask("renew it now")
"""
    causes = ("it is an old one, so it is refused", "it is a new one, so it is refused")
    hints = ("wait for it", "renew it now")
    said = {f"{cause}|{hint}" for cause in causes for hint in hints}
    assert read(asking=asking, other=other) == said


def test_what_no_caller_gives_is_the_default() -> None:
    """A parameter that is left out says what stands in the function's first line."""
    code = """
refuse("is long", *more)
refuse("is gone", *more, who="the person")
def refuse(problem, *, who="the daemon"):
    say(who, "wait")
"""
    assert read(module=code) == {"the daemon|wait", "the person|wait"}


def test_a_sentence_is_said_only_with_what_it_says() -> None:
    """What may be None is nothing in a place of its own, and in a sentence it is never that."""
    code = """
def judge(a, b):
    fault = "it is old" if a else None
    if fault is not None:
        say(f"not done, since {fault}", "")
    say("done", "wait a day" if b else None)
"""
    assert read(module=code) == {"not done, since it is old|", "done|wait a day", "done|"}
