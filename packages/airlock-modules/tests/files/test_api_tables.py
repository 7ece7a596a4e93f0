from textwrap import dedent

import pytest

from airlock_modules import Module, ModuleError, evaluate, parse_module
from airlock_modules.apis import Api, Client, Credential, Source
from airlock_modules.evaluator import Grant
from airlock_modules.files.toml_reader import Fault

_EXAMPLE = """
    [[api]]
    hosts = ["API.github.com"]
    credential = { as = "header", command = ["gh", "auth", "token"], placeholder = "ghp_{36}" }
    allow = ["GET /repos/acme/app/**", "POST /repos/acme/app/pulls"]
    deny = ["* /repos/*/*/actions/secrets/**"]
    secret = ["POST /app/installations/*/access_tokens"]
    graphql = { mutations = ["createPullRequest"] }

    [client]
    env = { GH_TOKEN = "{placeholder}" }
    files = {}
"""


def _parse(text: str) -> Module:
    return parse_module(dedent(text), name="x", source="x.toml")


def _find_faults(text: str) -> tuple[Fault, ...]:
    with pytest.raises(ModuleError) as caught:
        _parse(text)
    return caught.value.faults


def test_a_module_may_have_nothing_but_apis() -> None:
    """Every key of one has its value, in one form."""
    module = _parse(_EXAMPLE)
    assert not module.has_command
    assert module.clients == {"": Client(env={"GH_TOKEN": "{placeholder}"})}
    assert module.apis == (
        Api(
            name="x",
            module="x",
            hosts=("api.github.com",),
            credential=Credential(
                kind="header",
                source=Source(kind="command", words=("gh", "auth", "token")),
                placeholder="ghp_{36}",
            ),
            allow=("GET /repos/acme/app/**", "POST /repos/acme/app/pulls"),
            deny=("* /repos/*/*/actions/secrets/**",),
            secret=("POST /app/installations/*/access_tokens",),
            mutations=("createPullRequest",),
        ),
    )


def test_a_module_may_deny_a_mutation() -> None:
    """It is refused whatever the module or a profile allows."""
    (api,) = _parse(_EXAMPLE.replace("deny = [", 'deny = ["mutation createPullRequest", ')).apis
    assert api.deny == ("* /repos/*/*/actions/secrets/**", "mutation createPullRequest")


def test_a_command_may_have_apis_besides() -> None:
    """Each has a name of its own."""
    command = '[command]\nbin = "x"\n[deny]\nargs = []\n'
    module = _parse(f'{command}[[api]]\nhosts = ["a.b"]\n[[api]]\nhosts = ["*.c.d"]')
    assert module.has_command
    assert [api.name for api in module.apis] == ["x", "x.2"]


def test_a_command_that_is_an_api_alone_is_refused_with_advice() -> None:
    """The container's own tool is the one to use."""
    grant = Grant(ceiling=("x",), modules={"x": _parse(_EXAMPLE)})
    decision = evaluate(grant, "x", ["pr", "list"])
    assert (decision.allowed, decision.layer, decision.rule) == (False, "module", "no-command")
    assert decision.hint is not None
    assert decision.hint.startswith("use the container's own x")


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("", "api.1.hosts", "is missing"),
        ("hosts = []", "api.1.hosts", "must not be empty"),
        ('hosts = ["a.b:443"]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["https://a.b"]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["*"]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["*.com"]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["a.*.c"]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["a*.b.c"]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["b\u00fccher.de"]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["1.2"]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["010.0.0.1"]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["a.b."]', "api.1.hosts", "is no name of a host"),
        ('hosts = ["a.b"]\nports = [0]', "api.1.ports", "is too small"),
        ('hosts = ["a.b"]\nports = ["443"]', "api.1.ports", "must be an integer"),
        ('hosts = ["a.b"]\nca = "ca.pem"', "api.1.ca", "is no absolute path"),
        ('hosts = ["a.b"]\nallow = ["/x"]', "api.1.allow", "does not begin with a method"),
        ('hosts = ["a.b"]\nallow = ["get /x"]', "api.1.allow", "does not begin with a method"),
        ('hosts = ["a.b"]\nallow = ["GET x"]', "api.1.allow", "has no path"),
        ('hosts = ["a.b"]\nallow = ["GET  /x"]', "api.1.allow", "has no path"),
        ('hosts = ["a.b"]\nallow = ["GET /x?y"]', "api.1.allow", "has what no path has"),
        ('hosts = ["a.b"]\nallow = ["GET /**/a/**/b"]', "api.1.allow", "more than one **"),
        ('hosts = ["a.b"]\nallow = ["GET /a*b*"]', "api.1.allow", "more than one *"),
        ('hosts = ["a.b"]\nallow = ["GET /../x"]', "api.1.allow", "has a segment"),
        ('hosts = ["a.b"]\nallow = ["mutation x"]', "api.1.allow", "does not begin with a method"),
        ('hosts = ["a.b"]\nparameters = ["a=b"]', "api.1.parameters", "is no name of one"),
        ('hosts = ["a.b"]\nalow = []', "api.1.alow", "unknown key"),
        ('hosts = ["a.b"]\ncredential = {}', "api.1.credential.as", "is missing"),
    ],
)
def test_a_fault_names_its_key(text: str, key: str, problem: str) -> None:
    """And what is wrong there."""
    faults = _find_faults(f"[[api]]\n{text}")
    assert any(each.key == key and problem in each.problem for each in faults), faults
    assert all(each.remedy for each in faults)


@pytest.mark.parametrize(
    ("credential", "key", "problem"),
    [
        ('as = "client-certificate", stored = "x"', "stored", "has no certificate"),
        ('as = "client-certificate", file = "/x", user = "u"', "user", "has no meaning"),
        ('as = "client-certificate", file = "/x", format = "kubeconfig"', "format", "is not that"),
        ('as = "bearer", env = "X"', "as", "is not one of its values"),
        ('as = "header"', "", "names no source"),
        ('as = "header", env = "X", stored = "x"', "", "names more than one source"),
        ('as = "header", env = "a-b"', "env", "is no name of a variable"),
        ('as = "header", file = "x"', "file", "is no absolute path"),
        ('as = "header", stored = "../x"', "stored", "names no stored credential"),
        ('as = "header", command = []', "command", "must not be empty"),
        (
            'as = "header", env = "X", format = "exec-credential"',
            "format",
            "has no meaning for env",
        ),
        ('as = "header", file = "/x", format = "kubeconfig"', "format", "has no meaning for file"),
        ('as = "header", env = "X", headers = ["a b"]', "headers", "cannot be such a name"),
        ('as = "basic", env = "X", headers = ["x-key"]', "headers", "has no meaning for Basic"),
        ('as = "header", env = "X", user = "x"', "user", "is of Basic credentials alone"),
        ('as = "header", env = "X", placeholder = "x_{8}"', "placeholder", "less than 16"),
        (
            'as = "header", env = "X", placeholder = "x {36}"',
            "placeholder",
            "has more than letters",
        ),
    ],
)
def test_a_fault_of_a_credential_names_its_key(credential: str, key: str, problem: str) -> None:
    """All faults are told at once, also that a placeholder is missing."""
    faults = _find_faults(f'[[api]]\nhosts = ["a.b"]\ncredential = {{ {credential} }}')
    named = f"api.1.credential.{key}".rstrip(".")
    assert any(each.key == named and problem in each.problem for each in faults), faults
    if "placeholder" not in credential and "client-certificate" not in credential:
        assert any(each.key.endswith(".placeholder") for each in faults)


def test_the_kubeconfig_says_where_a_cluster_is() -> None:
    """So a module has neither hosts nor the certificates of its cluster."""
    credential = 'as = "header", command = ["kubectl"], format = "kubeconfig"'
    text = f'[[api]]\ncredential = {{ {credential}, placeholder = "{{40}}" }}\n'
    (api,) = parse_module(text, name="x", source="x").apis
    assert (api.hosts, api.is_cluster) == ((), True)
    faults = _find_faults(f'{text}hosts = ["a.b"]\nca = "/x"')
    assert {each.key for each in faults} == {"api.1.hosts", "api.1.ca"}


@pytest.mark.parametrize("table", ["deny", "allow", "syntax", "env", "args", "exec", "sandbox"])
def test_what_is_about_a_command_needs_one(table: str) -> None:
    """A table that was read for nothing would promise what is not there."""
    (fault,) = _find_faults(f'{dedent(_EXAMPLE)}\n[{table}]\nx = "y"')
    assert (fault.key, "is about a command" in fault.problem) == (table, True)


@pytest.mark.parametrize(
    "client",
    ['env = { "a b" = "x" }', 'files = { "x" = "y" }', 'files = { "~/../x" = "y" }', "other = {}"],
)
def test_what_a_tool_is_given_has_plain_names(client: str) -> None:
    """A variable, a path of the container, or an option of an API."""
    assert _find_faults(f'[[api]]\nhosts = ["a.b"]\n[client]\n{client}')
    assert _find_faults('[command]\nbin = "x"\n[deny]\nargs = []\n[client]\nenv = {}')
