"""Whatever the table and the request: spelling does not matter, and work stays in proportion."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from airlock_modules import Module
from airlock_modules.reading.grammar import MAX_LETTERS
from asking import ask
from written_modules import ask_module, read_module

LETTERS = "abcdef"
NAMES = ["all", "alter", "bare", "base", "color", "commit", "depth", "dry-run"]
VALUES = st.sampled_from(["x", "", "-a", "--all", "--", "a=b", "é", "\udcff", "p q", "../y"])


class Described(Struct, frozen=True):
    """A flag of a made-up tool: a letter, a long name, and what it takes."""

    letter: str
    name: str
    takes: str


class Given(Struct, frozen=True):
    """A flag in a request, with a value where it takes one."""

    flag: Described
    value: str


@st.composite
def tools(draw: st.DrawFn) -> list[Described]:
    count = draw(st.integers(1, 6))
    letters = draw(st.permutations(LETTERS))[:count]
    names = draw(st.permutations(NAMES))[:count]
    takes = draw(
        st.lists(st.sampled_from(["", " VALUE", "[=VALUE]"]), min_size=count, max_size=count)
    )
    return [Described(*each) for each in zip(letters, names, takes, strict=True)]


def make_module(tool: list[Described], permitted: list[str], exceptions: list[str]) -> Module:
    flags = ", ".join(f'"-{flag.letter} --{flag.name}{flag.takes}"' for flag in tool)
    return read_module(
        f"""
        [syntax]
        subcommands = 1
        abbreviations = true
        flags = [{flags}]
        [allow]
        except = {exceptions}
        [allow.commands]
        run = {permitted}
        """
    )


def spell(tool: list[Described], flag: Given, data: st.DataObject) -> list[str]:
    """Return one of the spellings that the tool takes for this flag."""
    names = [f"--{flag.flag.name}"]
    for length in range(1, len(flag.flag.name)):
        cut = flag.flag.name[:length]
        if sum(other.name.startswith(cut) for other in tool) == 1:
            names.append(f"--{cut}")
    letter = f"-{flag.flag.letter}"
    if not flag.flag.takes:
        spellings = [[name] for name in (*names, letter)]
    else:
        spellings = [[f"{name}={flag.value}"] for name in names]
        if flag.value and not flag.value.startswith("="):
            spellings.append([letter + flag.value])
        if flag.flag.takes == " VALUE":
            spellings += [[name, flag.value] for name in (*names, letter)]
    return data.draw(st.sampled_from(spellings))


def write(tool: list[Described], flags: list[Given], data: st.DataObject) -> list[str]:
    """Return one of the argument vectors that mean these flags, in this order, for `run`."""
    parts = [spell(tool, flag, data) for flag in flags]
    joined: list[list[str]] = []
    for part in parts:
        before = joined[-1][-1] if joined else ""
        is_cluster = (
            len(joined) > 0
            and len(joined[-1]) == 1
            and all(f"-{letter}" in switches(tool) for letter in before[1:])
        )
        if is_cluster and part[0][1:2] != "-" and data.draw(st.booleans()):
            joined[-1] = [before + part[0][1:], *part[1:]]
        else:
            joined.append(part)
    place = data.draw(st.integers(0, len(joined)))
    words = [word for part in joined[:place] for word in part]
    return [*words, "run", *(word for part in joined[place:] for word in part)]


def switches(tool: list[Described]) -> set[str]:
    return {f"-{flag.letter}" for flag in tool if not flag.takes}


@given(tools(), st.data())
def test_another_spelling_is_the_same_decision(tool: list[Described], data: st.DataObject) -> None:
    """Aliases, abbreviations, clusters, joined, glued and separate values, before and behind."""
    known = [f"--{flag.name}" for flag in tool]
    entries = [*known, *(f"--{flag.name}=x*" for flag in tool if flag.takes), "*"]
    module = make_module(
        tool,
        data.draw(st.lists(st.sampled_from(entries), unique=True)),
        data.draw(
            st.lists(st.sampled_from([*known, f"run & {known[0]}"]), unique=True, max_size=2)
        ),
    )
    flags = data.draw(st.lists(st.builds(Given, st.sampled_from(tool), VALUES), max_size=5))
    first = ask_module(module, *write(tool, flags, data))
    second = ask_module(module, *write(tool, flags, data))
    assert (first.allowed, first.rule) == (second.allowed, second.rule)


def count_calls(work: Callable[[], object]) -> int:
    """Return how many functions are called, as a measure of work that no clock disturbs."""
    calls = 0

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize(
    "repeated",
    [
        ["-a"],
        ["--b"],
        ["--nope"],
        ["-bx"],
        ["--base", "--", "word"],
        ["-C", "d"],
        ["-=", "", "-"],
        ["-ac=x"],
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
def test_twice_the_arguments_are_at_most_twice_the_work(repeated: list[str], is_open: bool) -> None:
    """Also where every one of them is ambiguous, unknown, or could be the value of the last."""
    flags = (
        'value_flags = ["--base"]' if is_open else 'flags = ["-a --all", "-b --base VALUE", "-c"]'
    )
    module = read_module(
        f"[syntax]\nsubcommands = 1\nabbreviations = true\n{flags}\n"
        'path_flags = ["-C"]\npath_words = ["run"]\n[deny]\nargs = ["--x", "-y=?", "--*=z", "+*"]'
    )

    def measure(count: int) -> int:
        return count_calls(lambda: ask_module(module, "run", *repeated * count))

    assert measure(400) - measure(200) <= 1.05 * (measure(200) - measure(0)) + 10


@pytest.mark.parametrize("letter", ["a", "y", "z", "-", "="])
def test_a_long_cluster_is_given_up(letter: str) -> None:
    """Its letters are read up to a limit; behind `=` or a dash is a value, which may be long."""
    module = read_module('[syntax]\n[deny]\nargs = ["-a", "-y=?"]')
    cluster = "-q" + letter * 4_000
    assert count_calls(lambda: ask_module(module, cluster)) < 6 * MAX_LETTERS
    assert ask_module(module, cluster).allowed == (letter in "-=")


def test_arguments_full_of_clusters_are_given_up() -> None:
    """The work has a bound, and the refusal says why; one flag an argument is no cluster."""
    calls = count_calls(lambda: ask("git", "log", *["-" + "q" * 390] * 9_999))
    decision = ask("git", "log", *["-" + "q" * 390] * 9_999)
    assert calls < 4 * MAX_LETTERS
    assert decision.rule == "too-many-flags"
    assert decision.message.endswith("more than 1,024 flags stand behind the dashes of others")
    assert ask("git", "log", *["-q"] * 5_000).allowed
    assert ask("git", "commit", "-m" + "m" * 5_000).allowed
