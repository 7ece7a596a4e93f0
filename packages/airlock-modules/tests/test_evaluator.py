import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from airlock_modules import (
    Grant,
    Module,
    Parsed,
    TableReader,
    evaluate,
    load_builtin,
    narrow_module,
    parse_module,
)
from airlock_modules.reading.parsed import read_plain
from airlock_modules.rules.glob import Glob
from asking import GRANT
from written_modules import ask_module, read_module


def make_module(*, deny: list[str] | None = None, allow: list[str] | None = None) -> Module:
    """Make the module `tool` from lists of deny or allow rules."""
    mode, rules = ("allow", allow) if allow is not None else ("deny", deny or [])
    return read_module(f'[{mode}]\nargs = {rules}\n[sandbox]\nbox = "home"\n')


def grant(module: Module, *, commands: tuple[str, ...] = ()) -> Grant:
    return Grant(ceiling=("tool", "bare"), commands=commands, modules={"tool": module})


DENY, ALLOW = make_module(deny=["-v=/*:*"]), make_module(allow=["a & b"])
SHARED = replace(DENY, source="/etc/airlock/modules/tool.toml")
REASON = '[{mode}]\nargs = [{{ rule = "x", reason = "it hurts" }}]\n[sandbox]\nbox = "home"\n'
REASONED = read_module(REASON.format(mode="deny"))
LISTED = read_module(
    "[syntax]\nsubcommands = 1\n[allow.commands]\npush = ['*']\n[sandbox]\nbox = 'home'\n"
)
PARSED = read_module("[syntax]\n[deny]\nargs = ['x']\n[sandbox]\nbox = 'home'\n")
BOXLESS = read_module("[deny]\nargs = []")
BROKER = parse_module('[command]\nbroker = "ssh"\n[deny]\nargs = []\n', name="tool", source="t")
RELOAD = ", and run: airlock reload"
OWN = f"a person on the host can change [deny] args in commands/tool.toml of this agent{RELOAD}"


def narrowed(module: Module) -> Module:
    """Return the module with a rule of the profile."""
    reader = TableReader.parse('tool = ["-n"]\n', source="airlock.toml", faults=[])
    assert reader is not None
    return narrow_module(module, reader, "tool")


@pytest.mark.parametrize(
    ("asked", "words", "layer", "rule", "message", "hint", "step"),
    [
        pytest.param(
            *(grant(DENY), "tool good", None, None, "", ""),
            "after 3, rules: passed: no deny rule matches",
            id="nothing denies",
        ),
        pytest.param(
            *(grant(ALLOW, commands=("tool",)), "tool a b", None, "a & b", "", ""),
            'after 3, rules: passed: allow "a & b" matches "a", "b"',
            id="allowed by a rule",
        ),
        pytest.param(
            *(grant(BROKER), "tool host", None, None, "", ""),
            "after 3, rules: passed: no deny rule matches",
            id="a broker needs no box",
        ),
        pytest.param(
            *(grant(DENY), "tool run -v /:/h", "module", "-v=/*:*"),
            'tool with "-v", "/:/h" is refused: its module has the rule "-v=/*:*"',
            OWN,
            'after 3, rules: refused: with "-v", "/:/h": its module has the rule "-v=/*:*"',
            id="denied",
        ),
        pytest.param(
            *(grant(SHARED), "tool -v /:/h", "module", "-v=/*:*"),
            'tool with "-v", "/:/h" is refused: its module has the rule "-v=/*:*"',
            "a person on the host can change [deny] args in modules/tool.toml, which is for all "
            f"agents{RELOAD}",
            'after 3, rules: refused: with "-v", "/:/h": its module has the rule "-v=/*:*"',
            id="denied by a module for all",
        ),
        pytest.param(
            *(grant(REASONED), "tool x", "module", "x", 'tool with "x" is refused: it hurts', OWN),
            'after 3, rules: refused: with "x": its module has the rule "x"',
            id="denied for a reason",
        ),
        pytest.param(
            *(grant(PARSED), "tool x", "module", "x"),
            'tool with "x" is refused: its module has the rule "x"',
            OWN,
            'after 3, rules: refused: with "x": its module has the rule "x"',
            id="denied by words that are parsed",
        ),
        pytest.param(
            *(grant(LISTED), "tool pull", "module", "command"),
            'tool "pull" is refused: its module does not list that',
            f"a person on the host can change [allow] in commands/tool.toml of this agent{RELOAD}",
            'after 3, rules: refused: "pull": its module does not list that',
            id="a subcommand that is not listed",
        ),
        pytest.param(
            *(grant(narrowed(DENY)), "tool -n", "profile", "-n"),
            'tool with "-n" is refused: the profile of this agent has the rule "-n"',
            f"a person on the host can change [deny] tool in this agent's airlock.toml{RELOAD}",
            'after 4, profile: refused: with "-n": the profile of this agent has the rule "-n"',
            id="denied by the profile",
        ),
        pytest.param(
            *(grant(load_builtin("git")), "tool push --force", "module", "push & --force"),
            'tool with "push", "--force" is refused: it overwrites what others have pushed; '
            "--force-with-lease only what was seen here",
            "a person on the host can give this agent rules of its own in commands/tool.toml "
            f"(airlock show tool prints those it has){RELOAD}",
            'after 3, rules: refused: with "push", "--force": its module has the rule '
            '"push & --force"',
            id="denied by a built-in module",
        ),
        pytest.param(
            *(Grant(ceiling=("x",), commands=("tool",), modules={"tool": DENY}), "tool x"),
            *(None, None, "unknown command: tool (not enabled on the host)"),
            f'a person on the host can add "tool" to [commands] enable in config.toml{RELOAD}',
            "after 0, ceiling: refused: [commands] enable does not list tool",
            id="above the ceiling",
        ),
        pytest.param(
            *(Grant(ceiling=(), commands=("other",), modules={"tool": DENY}), "tool x"),
            *(None, None, "unknown command: tool (not enabled on the host)"),
            'a person on the host can add "tool" to [commands] enable in config.toml'
            f", and to commands in the airlock.toml of this agent{RELOAD}",
            "after 0, ceiling: refused: [commands] enable does not list tool",
            id="above an empty ceiling",
        ),
        pytest.param(
            *(grant(DENY), "../tool x", None, None),
            'unknown command: "../tool" (not enabled on the host)',
            "a command is a name of at most 64 letters, digits and . _ -, not a path",
            'after 0, ceiling: refused: [commands] enable does not list "../tool"',
            id="no name",
        ),
        pytest.param(
            *(grant(DENY, commands=("tool",)), "bare x", None, None),
            "unknown command: bare (enabled on the host, but no module describes it)",
            f"a person on the host can write commands/bare.toml of this agent{RELOAD}",
            "after 1, module: refused: no built-in and no commands/bare.toml",
            id="no module",
        ),
        pytest.param(
            *(grant(BOXLESS, commands=("other",)), "tool x", "profile", "commands"),
            "tool is refused: the profile of this agent does not grant it",
            f'a person on the host can add "tool" to commands in its airlock.toml{RELOAD}',
            "after 2, profile: refused: commands does not list tool",
            id="outside of the profile, which is asked before the box",
        ),
        pytest.param(
            *(grant(load_builtin("openai")), "tool x", "module", "no-command"),
            "tool is refused: the host grants its API, and runs no command for it",
            "use the container's own tool, which reaches the API through the proxy that airlock "
            "run sets (HTTPS_PROXY)",
            "after 3, module: refused: the module has no [command], but an [[api]]",
            id="only an API",
        ),
        pytest.param(
            *(grant(BOXLESS), "tool x", "sandbox", "no-box-named"),
            "tool is refused: its module names no box to run it in",
            "a person on the host can add a table [sandbox] to commands/tool.toml of this agent: "
            'box = "closed" shows it the workspace and no credential; box = "home" lets it read '
            f"and send away every credential in that person's home{RELOAD}",
            "after 3, sandbox: refused: the module names no [sandbox] box",
            id="no box",
        ),
    ],
)
def test_each_layer_refuses_in_words_of_its_own_and_the_first_ends_it(
    asked: Grant,
    words: str,
    layer: str | None,
    rule: str | None,
    message: str,
    hint: str,
    step: str,
) -> None:
    """The client gets message and hint, a person on the host each step that was taken."""
    command, *args = words.split(" ")
    decision = evaluate(asked, command, args)
    kind = "allowed" if not message else "denied" if layer else "unknown-command"
    assert (decision.allowed, decision.kind) == (not message, kind)
    assert (decision.layer, decision.rule) == (layer, rule)
    assert (decision.message, decision.hint) == (message, hint)
    *passed, last = (f"{each.layer}: {each.verdict}: {each.detail}" for each in decision.steps)
    assert f"after {len(passed)}, {last}" == step
    module = asked.modules.get(command)
    granted = "commands lists tool" if asked.commands else "commands is empty, so all is granted"
    passes = [
        f"ceiling: passed: [commands] enable lists {command}",
        f"module: found: {module.source if module else None}",
        f"profile: passed: {granted}",
        "rules: passed: the module allows it",
    ]
    assert passed == passes[: len(passed)]
    assert evaluate(asked, command, args, is_explained=False).message == message


@pytest.mark.parametrize(
    ("ceiling", "commands", "granted"),
    [
        ("git ssh", "", "git git-remote ssh"),
        ("git ssh", "ssh", "ssh"),
        ("git-remote", "", "git-remote"),
        ("git git-remote", "git", "git git-remote"),
        ("ssh", "git ssh", "ssh"),
        ("", "git", ""),
    ],
)
def test_boxes_reach_gits_remotes_by_either_command(
    ceiling: str, commands: str, granted: str
) -> None:
    """A grant is what host and profile both list, and git needs no git-remote beside it."""
    asked = Grant(ceiling=(*ceiling.split(),), commands=(*commands.split(),), modules={})
    names = ("git", "git-remote", "ssh")
    assert [name for name in names if asked.grants_relayed(name)] == granted.split()
    assert asked.grants_git() == ("git-remote" in granted.split())


@pytest.mark.parametrize("mode", ["allow", "deny"])
def test_a_decision_has_the_reason_of_its_rule(mode: str) -> None:
    """Whether the rule allows or denies."""
    text = REASON.format(mode=mode)
    assert ask_module(read_module(text), "x").reason == "it hurts"


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
