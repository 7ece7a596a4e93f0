"""The vectors of the conformance suite, as far as they concern the built-in modules.

The suite itself has the daemon decide each.
"""

import pytest

from airlock_modules import builtin_names, load_builtin
from asking import ask
from policy_vectors import read_vectors

# The module of a broker has no rules for arguments, which the broker reads; nor has one whose
# requests to APIs or an engine are judged.
MODULES = tuple(map(load_builtin, builtin_names()))
COMMANDS = tuple(
    each for each in MODULES if each.has_command and not (each.uses_apis or each.has_engine)
)
NAMES = tuple(each.name for each in COMMANDS if each.broker is None)

# Those whose tools run in a box that holds nothing, so that few rules are left.
BOXED = {name for name in NAMES if load_builtin(name).sandbox is not None}

VECTORS = {name: read_vectors(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_vectors_are_many(name: str) -> None:
    """The figures mean something only if there is much to decide."""
    denied = sum(vector.result == "denied" for vector in VECTORS[name])
    harmless = sum(vector.is_harmless for vector in VECTORS[name])
    allowed = len(VECTORS[name]) - denied - harmless
    print(f"{name}: {denied} evasions denied, {allowed} everyday commands allowed")
    assert min(denied + harmless, allowed) >= 180
    assert denied >= 100
    assert (harmless > 0) == (name in BOXED)


@pytest.mark.parametrize("name", NAMES)
def test_every_denial_has_a_reason(name: str) -> None:
    """Its message ends with it, and does not show the text of the rule."""
    decisions = [ask(name, *vector.args) for vector in VECTORS[name]]
    denials = [decision for decision in decisions if not decision.allowed]
    assert [each.message for each in denials if each.reason is None] == []
    assert all(each.message.endswith(f" is refused: {each.reason}") for each in denials)
