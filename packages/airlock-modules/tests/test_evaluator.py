import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from airlock_modules import Grant, Module, Parsed, evaluate, parse_module
from airlock_modules.reading.plain import read_plain
from airlock_modules.rules.glob import Glob
from asking import GRANT
from written_modules import ask_module, read_module


def make_module(*, deny: list[str] | None = None, allow: list[str] | None = None) -> Module:
    """Make the module `tool` from lists of deny or allow rules."""
    mode, rules = ("allow", allow) if allow is not None else ("deny", deny or [])
    return read_module(f'[{mode}]\nargs = {rules}\n[sandbox]\nbox = "home"\n')


def grant(module: Module, *, commands: tuple[str, ...] = ()) -> Grant:
    return Grant(ceiling=("tool", "bare"), commands=commands, modules={"tool": module})


def test_what_no_deny_rule_matches_is_allowed() -> None:
    """A deny list allows everything else, and the steps say why."""
    decision = ask_module(make_module(deny=["bad"]), "good")
    assert (decision.allowed, decision.kind, decision.layer) == (True, "allowed", None)
    assert [(step.layer, step.verdict) for step in decision.steps] == [
        ("ceiling", "passed"),
        ("module", "found"),
        ("profile", "passed"),
        ("rules", "passed"),
    ]


def test_a_deny_rule_refuses_and_is_named() -> None:
    """The message shows the arguments that matched and the rule that matched them."""
    decision = ask_module(make_module(deny=["-v=/*:*"]), "run", "-v", "/:/h")
    assert (decision.allowed, decision.kind, decision.layer) == (False, "denied", "module")
    assert decision.rule == "-v=/*:*"
    assert decision.message == (
        'tool with "-v", "/:/h" is refused: its module has the rule "-v=/*:*"'
    )
    assert decision.hint is not None
    assert "[deny] args in commands/tool.toml" in decision.hint


def test_the_hint_names_the_file_that_has_the_rule() -> None:
    """A file for all agents is not in the agent's directory."""
    module = replace(make_module(deny=["x"]), source="/etc/airlock/modules/tool.toml")
    hint = ask_module(module, "x").hint
    assert hint is not None
    assert "[deny] args in modules/tool.toml, which is for all agents" in hint


def test_each_part_of_a_set_is_shown() -> None:
    """A rule of several parts shows each argument that it found."""
    decision = ask_module(make_module(deny=["clone & -u"]), "clone", "-ux", "y")
    assert decision.message.startswith(
        'tool with "clone", "-ux" is refused: its module has the rule "clone & -u"'
    )


def test_an_allow_list_refuses_what_no_rule_matches() -> None:
    """With allow rules the default is to refuse, even without arguments."""
    module = make_module(allow=["a & b", "c"])
    assert ask_module(module, "b", "a").rule == "a & b"
    assert ask_module(module, "c", "x").allowed
    refused = ask_module(module, "a", "x", "y", "z")
    assert (refused.kind, refused.layer, refused.rule) == ("denied", "module", None)
    assert refused.message == (
        'tool with "a" "x" "y" ... is refused: no rule of its module allows it'
    )
    assert ask_module(module).message == (
        "tool without arguments is refused: no rule of its module allows it"
    )


def test_a_decision_has_the_reading_that_it_was_made_by() -> None:
    """The arguments need not be parsed again; only allowed requests have paths."""
    plain = ask_module(make_module(), "-x", "y").reading
    assert plain == read_plain(["-x", "y"])
    module = read_module('[syntax]\npath_words = [""]\n[deny]\nargs = ["-x"]')
    for args, paths in ((["a"], ["a"]), (["-x", "a"], [])):
        decision = ask_module(module, *args)
        assert isinstance(decision.reading, Parsed)
        assert [word.text for word in decision.reading.words] == ["a"]
        assert [use.text for use in decision.paths] == paths


def test_an_empty_list_is_taken_at_its_word() -> None:
    """An empty deny list allows all, an empty allow list refuses all."""
    assert ask_module(make_module(deny=[]), "x").allowed
    assert not ask_module(make_module(allow=[]), "x").allowed


def test_a_command_above_the_ceiling_is_unknown() -> None:
    """The ceiling is checked first, regardless of modules, and the hint names its key."""
    module = make_module()
    decision = evaluate(Grant(ceiling=(), modules={"tool": module}), "tool", [])
    assert (decision.allowed, decision.kind, decision.layer) == (False, "unknown-command", None)
    assert decision.message.startswith("unknown command: tool ")
    assert decision.hint is not None
    assert "[commands] enable in config.toml" in decision.hint
    assert [step.layer for step in decision.steps] == ["ceiling"]


def test_a_command_without_a_module_is_unknown() -> None:
    """The module is checked before the profile, so that the message says what is missing."""
    decision = evaluate(grant(make_module(), commands=("tool",)), "bare", [])
    assert decision.kind == "unknown-command"
    assert decision.message.startswith("unknown command: bare ")
    assert decision.hint is not None
    assert "commands/bare.toml" in decision.hint


def test_the_profile_refuses_what_it_does_not_list() -> None:
    """A profile narrows the ceiling; the rules are not checked."""
    decision = evaluate(grant(make_module(), commands=("other",)), "tool", ["x"])
    assert (decision.kind, decision.layer) == ("denied", "profile")
    assert decision.hint is not None
    assert "airlock.toml" in decision.hint
    assert [step.layer for step in decision.steps] == ["ceiling", "module", "profile"]


def test_a_profile_cannot_grant_above_the_ceiling() -> None:
    """A name that only the profile lists stays unknown."""
    asked = Grant(ceiling=("x",), commands=("tool",), modules={"tool": make_module()})
    assert evaluate(asked, "tool", []).kind == "unknown-command"


def test_a_module_that_names_no_box_is_refused_whatever_its_rules_allow() -> None:
    """There is no default box; the hint has both lines, and what the second exposes."""
    for module in (read_module("[deny]\nargs = []"), read_module("[allow]\nargs = ['x']")):
        decision = evaluate(grant(module), "tool", ["x"])
        assert (decision.allowed, decision.kind, decision.layer, decision.rule) == (
            *(False, "denied", "sandbox", "no-box-named"),
        )
        assert decision.message == "tool is refused: its module names no box to run it in"
        assert decision.hint is not None
        assert 'commands/tool.toml of this agent: box = "closed" shows it' in decision.hint
        assert 'box = "home" lets it read and send away every credential' in decision.hint
        assert [step.verdict for step in decision.steps] == [
            "passed", "found", "passed", "refused",
        ]  # fmt: skip


def test_a_broker_needs_no_box() -> None:
    """Nothing runs on the host that a workspace could configure."""
    text = '[command]\nbroker = "ssh"\n[deny]\nargs = []\n'
    module = parse_module(text, name="tool", source="tool.toml")
    assert evaluate(grant(module), "tool", ["host"]).allowed


def test_the_profile_is_asked_before_the_box() -> None:
    """An agent without the command learns nothing about its module."""
    asked = grant(read_module("[deny]\nargs = []"), commands=("other",))
    assert evaluate(asked, "tool", []).layer == "profile"


@pytest.mark.parametrize("command", ["", "../tool", "tool\n", "to\u202eol", "\udcff", "x" * 9999])
def test_names_that_mislead_are_refused_and_shown_quoted(command: str) -> None:
    """For any command the message is one short printable line."""
    decision = evaluate(grant(make_module()), command, [])
    assert decision.kind == "unknown-command"
    assert decision.message.startswith('unknown command: "')
    assert decision.message.isprintable()
    assert len(decision.message) < 500


def test_arguments_in_messages_are_quoted_and_cut() -> None:
    """Escape sequences and megabytes of a client do not reach a terminal."""
    decision = ask_module(make_module(deny=["--bad"]), "--bad=\x1b[2J" + "x" * 100_000)
    assert decision.message.isprintable()
    assert len(decision.message) < 500


ANYTHING = st.text(st.characters(), max_size=8)
HOSTILE = st.one_of(ANYTHING, st.sampled_from(["--", "-v", "-v/", "--x=", "-", "", "a", "b", "-="]))


@settings(max_examples=300, deadline=None)
@given(HOSTILE, st.lists(HOSTILE, max_size=12))
def test_nothing_that_a_client_sends_raises(command: str, args: list[str]) -> None:
    """Any strings give a decision, for every built-in module as well."""
    for name in (*GRANT.ceiling, command):
        decision = evaluate(GRANT, name, args)
        assert decision.allowed == (decision.kind == "allowed")
        assert decision.allowed or decision.message


def test_work_grows_with_the_number_of_arguments_and_no_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twice the arguments cause twice the comparisons, even if each begins a new attempt."""
    compared: list[str] = []
    matches = Glob.matches

    def count(glob: Glob, text: str) -> bool:
        compared.append(text)
        return matches(glob, text)

    monkeypatch.setattr(Glob, "matches", count)

    asked = grant(make_module(deny=["run & -v=/*:*"]))

    def compare(repeats: int) -> int:
        compared.clear()
        assert evaluate(asked, "tool", ["run", *["-i", "-v", "x"] * repeats]).allowed
        return len(compared)

    assert compare(2_000) == 2 * compare(1_000) > 0
