import pytest

from airlock_modules import Module, ModuleError, Sandbox, parse_module
from airlock_modules.rules.rule import PlainRules

SMALL = '[command]\nbin = "git"\n[deny]\nargs = []\n'


def faults_of(text: str, *, name: str = "git") -> list[str]:
    with pytest.raises(ModuleError) as caught:
        parse_module(text, name=name, source="git.toml")
    return [str(fault) for fault in caught.value.faults]


def test_a_small_module_has_the_defaults() -> None:
    """What a module does not say is the careful or the ordinary choice."""
    module = parse_module(SMALL, name="git", source="git.toml")
    assert module.bin == "git"
    assert module.rules == PlainRules(mode="deny")
    assert (module.inherit, module.forward, module.strip) == ((), (), ())
    assert dict(module.set) == {}
    assert (module.prepend, module.append) == ((), ())
    assert (module.concurrent, module.workspace, module.timeout_s) == (True, "optional", 0.0)
    assert (module.source, module.builtin) == ("git.toml", False)


def test_a_full_module_is_read_as_written() -> None:
    """Every key of this release arrives in the module."""
    module = parse_module(
        """
        [command]
        bin = "/usr/bin/git"
        [allow]
        args = ["status", "log & -n=*"]
        [env]
        inherit = ["SSH_AUTH_SOCK"]
        forward = ["GIT_AUTHOR_NAME", "LC_*", "GIT_*"]
        strip = ["GIT_DIR", "http_proxy"]
        set = { GIT_DIR = "", X = "a=b" }
        [args]
        prepend = ["-a", ""]
        append = ["-z"]
        [exec]
        concurrent = false
        workspace = "required"
        timeout_s = 1.5
        """,
        name="git",
        source="git.toml",
    )
    assert module.bin == "/usr/bin/git"
    assert isinstance(module.rules, PlainRules)
    assert module.rules.mode == "allow"
    assert [rule.text for rule in module.rules.rules.rules] == ["status", "log & -n=*"]
    assert module.inherit == ("SSH_AUTH_SOCK",)
    assert module.forward == ("GIT_AUTHOR_NAME", "LC_*", "GIT_*")
    assert module.strip == ("GIT_DIR", "http_proxy")
    assert dict(module.set) == {"GIT_DIR": "", "X": "a=b"}
    assert (module.prepend, module.append) == (("-a", ""), ("-z",))
    assert (module.concurrent, module.workspace, module.timeout_s) == (False, "required", 1.5)


def test_a_module_may_want_no_workspace() -> None:
    """Its tool sees nothing that a client wrote."""
    module = parse_module(f'{SMALL}[exec]\nworkspace = "none"\n', name="git", source="git.toml")
    assert module.workspace == "none"


def test_modules_are_immutable() -> None:
    """A module that was read cannot change under a running request."""
    module: Module = parse_module(SMALL, name="git", source="git.toml")
    with pytest.raises(AttributeError):
        module.bin = "sh"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[deny]\nargs = []", "git.toml: [command] bin: is missing; add it; it must be a string"),
        (SMALL.replace('"git"', '""'), "git.toml: [command] bin: must not be empty; "),
        (SMALL.replace('"git"', '"./git"'), "git.toml: [command] bin: is a relative path; "),
        (SMALL.replace('"git"', '".."'), "git.toml: [command] bin: is a relative path; "),
        (
            SMALL.replace('"git"', "7"),
            "git.toml: [command] bin: must be a string, not an integer; ",
        ),
        ('[command]\nbin = "git"', "git.toml: deny: is missing; add [deny] or [allow] "),
        (SMALL + "[allow]\nargs = []", "git.toml: allow: stands beside [deny]; keep one"),
        ('[command]\nbin = "git"\n[deny]', "git.toml: [deny] args: is missing; "),
        ('[command]\nbin = "git"\n[allow]', "git.toml: [allow] args: is missing; "),
        (SMALL.replace("[]", "[1]"), "git.toml: [deny] args: item 1: must be a string"),
        (SMALL.replace("[]", '["a", ""]'), "git.toml: [deny] args: item 2: a rule, and each part"),
        (SMALL.replace("[]", '["-v=[a"]'), 'git.toml: [deny] args: item 1: the pattern "[a" is'),
        (SMALL + '[env]\nstrip = ["A=B"]', 'git.toml: [env] strip: "A=B" is not the name of an'),
        (SMALL + '[env]\nstrip = ["A*"]', 'git.toml: [env] strip: "A*" is not the name of an'),
        (SMALL + '[env]\ninherit = ["1A"]', 'git.toml: [env] inherit: "1A" is not the name'),
        (SMALL + '[env]\ninherit = ["A\\u0000"]', "git.toml: [env] inherit: item 1: holds a NUL"),
        (SMALL + '[env]\nforward = ["*"]', 'git.toml: [env] forward: "*" would let the client '),
        (SMALL + '[env]\nforward = ["A*B"]', 'git.toml: [env] forward: "A*B" is not the name of'),
        (SMALL + '[env]\nforward = ["A**"]', 'git.toml: [env] forward: "A**" is not the name of'),
        (SMALL + '[env]\nforward = ["A="]', 'git.toml: [env] forward: "A=" is not the name of'),
        (SMALL + '[env]\nforward = ""', "git.toml: [env] forward: must be an array, not a str"),
        (
            SMALL + '[env]\nforward = ["A"]\nstrip = ["A"]',
            "git.toml: [env] forward: A stands in strip too, so that the client's value is never ",
        ),
        (
            SMALL + '[env]\nforward = ["A"]\nset = { A = "1" }',
            "git.toml: [env] forward: A stands in set too, so that the client's value is never ",
        ),
        (SMALL + '[env]\nset = { "" = "x" }', 'git.toml: [env] set: "" is not the name'),
        (SMALL + "[env]\nset = { A = 1 }", "git.toml: [env] set.A: must be a string, not an int"),
        (SMALL + "[args]\nappend = 1", "git.toml: [args] append: must be an array, not an int"),
        (SMALL + "[exec]\nconcurrent = 1", "git.toml: [exec] concurrent: must be a boolean, not"),
        (SMALL + '[exec]\nworkspace = "x"', 'git.toml: [exec] workspace: "x" is not one of its'),
        (SMALL + "[exec]\ntimeout_s = -1", "git.toml: [exec] timeout_s: -1 is too small; "),
        (SMALL + "[deni]\nargs = []", 'git.toml: deni: unknown table; write "deny", or remove it'),
        (SMALL + "[exec]\ntimeout = 1", 'git.toml: [exec] timeout: unknown key; write "timeout_s"'),
        ("env = 1\n" + SMALL, "git.toml: env: must be a table, not an integer; "),
    ],
)
def test_each_fault_names_file_key_problem_and_remedy(text: str, fault: str) -> None:
    """A module that says something wrong is refused for exactly that."""
    found = faults_of(text)
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_what_this_release_lacks_is_refused_by_name() -> None:
    """A table that would promise a protection is never accepted silently."""
    (found,) = faults_of(f"{SMALL}[output]\nmask = true")
    assert found.startswith("git.toml: output: unknown table; remove it")


EXAMPLE = SMALL.replace("[]", '["push & --force"]') + "[[examples]]\n"


def test_examples_that_hold_are_no_faults() -> None:
    """They say what the rules mean, and nothing else."""
    text = f'{EXAMPLE}args = ["push"]\nexpect = "allowed"\n'
    text += '[[examples]]\nargs = ["push", "--force"]\nexpect = "denied"\n'
    module = parse_module(text, name="git", source="git.toml")
    assert module == parse_module(EXAMPLE[:-13], name="git", source="git.toml")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            EXAMPLE + 'args = ["push"]\nexpect = "denied"',
            'git.toml: [examples] 1: "push" is allowed, not denied: no deny rule matches; correct ',
        ),
        (EXAMPLE + 'expect = "denied"', "git.toml: [examples] 1.args: is missing; "),
        (EXAMPLE + "args = []", "git.toml: [examples] 1.expect: is missing; "),
        (EXAMPLE + 'args = []\nexpect = "?"', 'git.toml: [examples] 1.expect: "?" is not one of '),
        ('examples = ["x"]\n' + SMALL, "git.toml: examples: item 1: must be a table; "),
    ],
)
def test_an_example_that_does_not_hold_is_a_fault(text: str, fault: str) -> None:
    """Whoever changes a rule is told what it would let through or keep out."""
    (found,) = faults_of(text)
    assert found.startswith(fault)


def test_all_faults_of_a_file_are_reported_at_once() -> None:
    """Whoever mends a file sees everything in one go."""
    found = faults_of(
        '[command]\nbinn = "git"\n[deny]\nargs = ["", "-x={"]\n[env]\nset = { A = 1 }\n[output]\n'
    )
    assert [line.split(": ")[1] for line in found] == [
        "[command] bin",
        "[deny] args",
        "[deny] args",
        "[env] set.A",
        "output",
        "[command] binn",
    ]


def test_a_file_that_is_no_toml_is_one_fault() -> None:
    """Nothing more can be said of a file that cannot be read."""
    found = faults_of("[command\n")
    assert len(found) == 1
    assert "not valid TOML" in found[0]
    assert "line 1" in found[0]


def test_a_name_that_cannot_be_a_command_is_a_fault() -> None:
    """The file's stem becomes the command, so it must be able to name one."""
    assert faults_of(SMALL, name="../git") == [
        'git.toml: "../git" cannot name a command; rename the file'
    ]


def test_a_command_with_an_api_needs_no_rules_and_has_a_closed_box() -> None:
    """Every argument passes. Rules that there are count, and no box but a closed one is taken."""
    text = '[command]\nbin = "tool"\n[[api]]\nhosts = ["api.example.com"]\nallow = ["GET /"]\n'
    module = parse_module(text, name="tool", source="tool.toml")
    assert module.uses_apis
    assert module.sandbox == Sandbox(box="closed", sockets="inet")
    assert module.rules.judge(["anything", "--at=all"]).allowed
    narrowed = parse_module(f'{text}[deny]\nargs = ["out"]\n', name="tool", source="tool.toml")
    assert not narrowed.rules.judge(["out"]).allowed
    with pytest.raises(ModuleError, match="box: would give the command what"):
        parse_module(f'{text}[sandbox]\nbox = "home"\n', name="tool", source="tool.toml")


def test_a_command_with_the_broker_of_an_engine_needs_no_rules() -> None:
    """Its calls are judged, also beside an API; rules that there are count."""
    text = '[command]\nbin = "tool"\n[sandbox]\nbox = "closed"\nbrokers = ["docker"]\n'
    module = parse_module(text, name="tool", source="tool.toml")
    assert module.sandbox == Sandbox(box="closed", sockets="unix", brokers=("docker",))
    assert module.rules.judge(["run", "--privileged"]).allowed
    narrowed = parse_module(f'{text}[deny]\nargs = ["run"]\n', name="tool", source="tool.toml")
    assert not narrowed.rules.judge(["run"]).allowed
    api = '[[api]]\nhosts = ["api.example.com"]\nallow = ["GET /"]\n'
    both = parse_module(text + api, name="tool", source="tool.toml")
    assert both.sandbox is not None
    assert both.sandbox.sockets == "inet and unix"
