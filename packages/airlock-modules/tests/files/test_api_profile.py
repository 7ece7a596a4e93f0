import pytest

from airlock_modules import Fault, TableReader, load_builtin, parse_module
from airlock_modules.apis import ApiCall, Client, GraphQlField
from airlock_modules.files.api_profile import (
    CONTEXTS_NAMESPACE,
    Granted,
    grant_apis,
    read_own_apis,
)

_MODULE = """
[[api]]
hosts = ["a.example.com"]
credential = { as = "header", stored = "x", placeholder = "x_{36}" }
allow = ["GET /repos/{repositories}/**", "POST /graphql"]
deny = ["* /repos/{repositories}/keys/**"]
options = { publish = ["PUT /{publish!}"], private = [] }
graphql = { mutations = ["create", "close"] }
[[api]]
hosts = ["b.example.com"]
allow = ["GET /"]
[client]
env = { A = "{placeholder}", B = "{bundle}" }
[client.private]
files = { "~/.rc" = "{placeholder} {ca}" }
"""


def _grant(profile: str) -> tuple[Granted, list[Fault]]:
    module = parse_module(_MODULE, name="x", source="x.toml")
    faults: list[Fault] = []
    reader = TableReader.parse(f"[x]\n{profile}", source="airlock.toml", faults=faults)
    assert reader is not None
    table = reader.table("x")
    granted = grant_apis(module.apis, module.clients, table, repositories=("from/git",))
    reader.finish()
    return granted, faults


def test_texts_of_a_profile_stand_in_for_their_key() -> None:
    """In every rule, as they are or escaped; a rule without texts grants nothing."""
    granted, faults = _grant('repositories = ["acme/app", "lib/*"]\npublish = ["@acme/*"]')
    assert faults == []
    api = granted.apis[0]
    assert api.allow == (
        "GET /repos/acme/app/**",
        "GET /repos/lib/*/**",
        "POST /graphql",
        "PUT /@acme%2F*",
    )
    assert api.deny == ("* /repos/acme/app/keys/**", "* /repos/lib/*/keys/**")
    assert (api.repositories, api.options, api.wide) == (("acme/app", "lib/*"), {}, False)


def test_a_profile_says_which_cluster_is_meant() -> None:
    """By options of kubectl. Namespaces that it does not name are found out later."""
    module = load_builtin("kubectl")

    def grant(profile: str) -> tuple[Granted, list[Fault]]:
        faults: list[Fault] = []
        reader = TableReader.parse(f"[x]\n{profile}", source="airlock.toml", faults=faults)
        assert reader is not None
        granted = grant_apis(module.apis, module.clients, reader.table("x"))
        reader.finish()
        return granted, faults

    granted, faults = grant('context = "work"\nkubeconfig = "~/k"\nnamespaces = ["a", "b-*"]')
    (api,) = granted.apis
    assert faults == []
    assert api.credential is not None
    assert api.credential.source.words[-2:] == ("--kubeconfig=~/k", "--context=work")
    assert "GET /api/v1/namespaces/b-*/pods/*/log" in api.allow
    (api,) = grant("configmaps = true")[0].apis
    assert f"GET /api/v1/namespaces/{CONTEXTS_NAMESPACE}/configmaps/**" in api.allow
    _, faults = grant('kubeconfig = "k"\ncredential = { stored = "x" }')
    assert {each.key for each in faults} == {"x.kubeconfig", "x.credential"}


def test_repositories_are_those_of_git_where_a_profile_names_none() -> None:
    """An empty array names none."""
    assert _grant("")[0].apis[0].repositories == ("from/git",)
    assert _grant("repositories = []")[0].apis[0].repositories == ()


def test_a_profile_widens_the_first_and_narrows_all() -> None:
    """By operations and by mutations; the credential comes from elsewhere."""
    granted, faults = _grant(
        'allow = ["PUT /x", "mutation merge"]\ndeny = ["GET /y", "mutation close"]\n'
        'credential = { env = "TOKEN" }\nwide = true\nparameters = ["page", "include[]"]'
    )
    assert faults == []
    first, second = granted.apis
    assert first.parameters == second.parameters == ("page", "include[]")
    assert "PUT /x" in first.allow
    assert second.allow == ("GET /",)
    assert [each.deny[-2:] for each in granted.apis] == [("GET /y", "mutation close")] * 2
    assert (first.mutations, second.mutations) == (("create", "close", "merge"), None)
    asked = ApiCall(method="POST", path="/graphql", graphql=(GraphQlField("mutation", "close"),))
    assert first.judge(asked).rule == "mutation close"
    assert first.credential is not None
    assert (first.credential.source.kind, first.credential.source.words) == ("env", ("TOKEN",))
    assert (first.credential.placeholder, first.wide) == ("x_{36}", True)


def test_a_tool_is_given_what_belongs_to_the_options() -> None:
    """A profile's own variables replace the module's."""
    both = {"A": "{placeholder}", "B": "{bundle}"}
    files = {"~/.rc": "{placeholder} {ca}"}
    assert _grant("")[0].client == Client(env=both)
    assert _grant("private = true")[0].client == Client(env=both, files=files)
    given = _grant('private = true\nenv = { C = "{placeholder}" }')[0].client
    assert given == Client(env={"C": "{placeholder}"}, files=files)
    filled = given.fill(placeholder="p", ca="/ca", bundle="/b")
    assert (filled.env, filled.files) == ({"C": "p"}, {"~/.rc": "p /ca"})


@pytest.mark.parametrize(
    ("profile", "key"),
    [
        ('repositories = ["acme"]', "x.repositories"),
        ('repositories = ["acme/**"]', "x.repositories"),
        ('repositories = ["acme/../x"]', "x.repositories"),
        ('repositories = ["acme/.."]', "x.repositories"),
        ('publish = ["a/../b"]', "x.publish"),
        ('publish = ["a%2Fb"]', "x.publish"),
        ('publish = ["a b"]', "x.publish"),
        ("publish = true", "x.publish"),
        ('private = "yes"', "x.private"),
        ('allow = ["PUT"]', "x.allow"),
        ('credential = { env = "A", file = "/b" }', "x.credential"),
        ('credential = { env = "A", placeholder = "x" }', "x.credential.placeholder"),
        ('hosts = ["evil.example.com"]', "x.hosts"),
        ('alow = ["PUT /x"]', "x.alow"),
    ],
)
def test_a_fault_names_its_key(profile: str, key: str) -> None:
    """A text that would be more than a name, an option of another type, an unknown key."""
    _, faults = _grant(profile)
    assert key in {fault.key for fault in faults}, faults


def test_an_agent_has_apis_of_its_own() -> None:
    """With what its tools are given; options and keys in braces are of modules alone."""
    text = '[api.index]\nhosts = ["pip.corp.example"]\nca = "~/ca.pem"\nallow = ["GET /**"]\n'
    text += 'credential = { as = "basic", user = "me", file = "~/.t", placeholder = "p_{36}" }\n'
    text += 'env = { PIP_INDEX_URL = "https://me:{placeholder}@pip.corp.example/simple" }\n'
    faults: list[Fault] = []
    reader = TableReader.parse(text, source="airlock.toml", faults=faults)
    assert reader is not None
    ((api,), client) = next((each.apis, each.client) for each in read_own_apis(reader))
    reader.finish()
    assert faults == []
    assert (api.name, api.ca, "PIP_INDEX_URL" in client.env) == ("api.index", "~/ca.pem", True)
    text = '[api.a]\nhosts = ["a.b"]\nallow = ["GET /{x}"]\noptions = { y = [] }\n'
    text += '[api."b/c"]\nhosts = ["c.d"]'
    reader = TableReader.parse(text, source="airlock.toml", faults=faults)
    assert reader is not None
    read_own_apis(reader)
    reader.finish()
    assert {fault.key for fault in faults} == {"api.a.allow", "api.a.options", 'api."b/c"'}
