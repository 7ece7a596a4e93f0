import pytest

from airlock_modules import Module, load_builtin
from airlock_modules.files.grammar_review import list_unseen
from written_modules import read_module

RULES = {
    "push": True,
    "push & --delete": True,
    "push & -d": True,
    "push & refs/heads/*": True,
    "fetch & *://host/*": True,
    "push & --force": False,
    "fetch & --prune": False,
    "commit": False,
    "remote add": False,
    "--tags": False,
}
"""Rules, and whether a remote's request can match them."""


def with_rules(head: str) -> Module:
    return read_module(f"{head}[deny]\nargs = {[*RULES]}\n")


def test_rules_that_no_remote_is_asked_by_are_found() -> None:
    """It is asked for a fetch, or for a ref to be moved or deleted, and knows no other flag."""
    module = with_rules('[syntax]\noptions = "git"\n')
    assert list_unseen(module.rules) == tuple(rule for rule, seen in RULES.items() if not seen)


@pytest.mark.parametrize(
    ("rule", "is_seen"),
    [("push", True), ("push & --force", False), ("commit", False), ("refs/heads/main", True)],
)
def test_rules_without_a_table_too(rule: str, *, is_seen: bool) -> None:
    """A word may be a place or a ref if it looks like one."""
    unseen = list_unseen(read_module(f'[deny]\nargs = ["{rule}"]\n').rules)
    assert unseen == (() if is_seen else (rule,))


def test_forced_pushes_are_seen_by_the_words_alone() -> None:
    """All that the built-in module refuses of git is said with a flag or a plus."""
    assert list_unseen(load_builtin("git").rules) == ("push & --force", "push & --mirror")
