import msgspec
import pytest
from msgspec.structs import replace

from airlock_modules.apis import Api, ApiCall, Credential, GraphQlField, Head, Source, share_hosts
from airlock_modules.apis import api as api_module
from airlock_modules.apis.patterns import matches_rule


def _judge(path: str, *, method: str = "GET", **rules: tuple[str, ...]) -> bool:
    api = msgspec.convert({"name": "x", "module": "x", "hosts": ("a.example.com",), **rules}, Api)
    return api.judge(ApiCall(method=method, path=path)).refusal is None


@pytest.mark.parametrize(
    ("rule", "path", "is_granted"),
    [
        ("GET /a/*", "/a/b", True),
        ("GET /a/*", "/a/b/c", False),
        ("GET /a/*", "/a/b%2Fc", False),
        ("GET /a/*", "/a/", True),
        ("GET /a/*", "/a", False),
        ("GET /a/**", "/a", True),
        ("GET /a/**", "/a/b/c%2Fd", True),
        ("GET /a/**", "/ab", False),
        ("GET /a/**", "/A/b", False),
        ("GET /a/*/c", "/a/b/c", True),
        ("GET /@*%2F*", "/@acme%2Fapp", True),
        ("GET /@*%2F*", "/@acme/app", False),
        ("GET /**", "/\n", False),
        ("GET /a.c", "/abc", False),
        ("POST,PUT /a", "/a", False),
        ("* /a", "/a", True),
    ],
)
def test_a_rule_grants_what_it_names(rule: str, path: str, is_granted: bool) -> None:
    """`*` stays in a segment and crosses no escape, `**` crosses both; case counts."""
    assert _judge(path, allow=(rule,)) == is_granted


def test_what_is_granted_for_get_is_granted_for_head() -> None:
    """And nothing else is."""
    assert _judge("/a", method="HEAD", allow=("GET /a",))
    assert not _judge("/a", method="DELETE", allow=("GET,POST /a",))


@pytest.mark.parametrize(
    "path",
    [
        "/r/keys",
        "/r/keys/1",
        "/r/KEYS",
        "/r/keys/",
        "/r%2Fkeys",
        "/r/%4Beys%2F1",
        "/r//keys",
        "/r/keys;x=1",
        "/r/keys./1",
        "/r/keys%20",
        "/r/%EF%BD%8Beys",
    ],
)
def test_a_denial_holds_for_each_spelling(path: str) -> None:
    """Servers differ in letters' case, escapes, and slashes, so that deny is read widely."""
    assert not _judge(path, allow=("GET /**",), deny=("* /*/keys/**",))
    assert _judge(path, allow=("GET /**",), deny=("* /other/keys/**",))


def test_a_denial_with_two_stars_in_a_segment_takes_linear_time() -> None:
    """A tool could hold up the daemon with a long path; the time limit of tests sees it."""
    deny = ("* /@*%2F*/x",)
    assert _judge("/@" + "%2F" * 100_000, allow=("GET /**",), deny=deny)
    for path in ("/@a%2Fb/x", "/@a%2Fb%2Fc/X", "/@%2F/x", "/@a%2f%252f/x"):
        assert not _judge(path, allow=("GET /**",), deny=deny)
    assert _judge("/@a%2Fb/y", allow=("GET /**",), deny=deny)


def test_no_wildcard_grants_an_answer_with_a_secret() -> None:
    """Only its own name does, or the very line of `secret`."""
    secret = ("POST /app/*/tokens",)
    assert not _judge("/app/1/tokens", method="POST", allow=("POST /**",), secret=secret)
    assert not _judge("/app/1/Tokens/", method="POST", allow=("POST /**",), secret=secret)
    assert _judge("/app/1/tokens", method="POST", allow=("POST /app/1/tokens",), secret=secret)
    assert _judge("/app/1/tokens", method="POST", allow=secret, secret=secret)
    assert not _judge("/app/1/tokens", method="POST", allow=secret, secret=secret, deny=("* /**",))


def test_a_parameter_that_is_not_listed_is_refused() -> None:
    """It may change what an operation means. An API that lists none takes any."""
    api = Api(name="x", module="x", hosts=("a",), allow=("GET /**",), parameters=("page",))

    def judge(api: Api, *names: str) -> str:
        return api.judge(ApiCall(method="GET", path="/a", query_names=names)).rule

    assert judge(api, "page", "page") == "GET /**"
    assert judge(api, "page", "Page") == "parameters"
    source = Source(kind="env", words=("KEY",))
    credential = Credential(kind="header", source=source, query=("key",), placeholder="k_{36}")
    assert judge(msgspec.structs.replace(api, credential=credential), "key") == "GET /**"
    assert judge(msgspec.structs.replace(api, parameters=None), "other") == "GET /**"
    refused = api.judge(ApiCall(method="GET", path="/a", query_names=("acl",)))
    assert '"acl" is not listed' in (refused.refusal or "")
    assert 'add "acl" to [x] parameters' in refused.hint


def test_a_form_is_judged_as_all_that_it_may_be() -> None:
    """Frameworks obey `_method` in the form of a POST; `forms` says where none does."""
    asked = ApiCall(method="POST", path="/a", has_form=True)
    api = Api(name="x", module="x", hosts=("a",), allow=("POST /**", "PUT,PATCH /**"))
    refused = api.judge(asked)
    assert refused.rule == "forms"
    assert 'add "POST /a" to [x] forms' in refused.hint
    assert api.judge(msgspec.structs.replace(asked, has_form=False)).refusal is None
    replaced = msgspec.structs.replace
    assert api.judge(replaced(asked, path="/b")).refusal
    assert replaced(api, allow=("* /**",)).judge(asked).refusal is None
    assert replaced(api, allow=("* /**",), deny=("DELETE /a",)).judge(asked).rule == "forms"
    assert replaced(api, forms=("POST /a",)).judge(asked).refusal is None


@pytest.mark.parametrize(
    ("kind", "is_form"),
    [
        (None, True),
        ("application/x-www-form-urlencoded; charset=utf-8", True),
        ("Multipart/Form-Data; boundary=x", True),
        ("multipart/mixed; boundary=x", True),
        ("application/json", False),
        ("text/plain", False),
    ],
)
def test_a_body_without_a_type_may_be_a_form(kind: str | None, is_form: bool) -> None:
    """So may each kind that frameworks read parameters from; what has no body is none."""
    kinds = () if kind is None else ((b"content-type", kind.encode()),)
    assert Head("POST", "/", "", ((b"content-length", b"1"), *kinds)).has_form == is_form
    assert Head("POST", "/", "", ((b"transfer-encoding", b"chunked"), *kinds)).has_form == is_form
    assert not Head("POST", "/", "", ((b"content-length", b"0"), *kinds)).has_form
    assert not Head("PUT", "/", "", ((b"content-length", b"1"), *kinds)).has_form


def test_an_upgrade_needs_a_rule_of_its_own() -> None:
    """Behind it nothing is judged any more."""
    api = Api(name="x", module="x", hosts=("a",), allow=("GET /**",), upgrade=("GET /exec",))
    assert api.judge(ApiCall(method="GET", path="/exec", upgrade="websocket")).refusal is None
    refused = api.judge(ApiCall(method="GET", path="/other", upgrade="websocket"))
    assert (refused.rule, "[x] upgrade" in refused.hint) == ("upgrade", True)


@pytest.mark.parametrize(
    ("pattern", "host", "is_served"),
    [
        ("api.example.com", "API.Example.com.", True),
        ("api.example.com", "api.example.com.evil.net", False),
        ("api.example.com", "evil-api.example.com", False),
        ("api.example.com", "api.example.com..", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", False),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "evilexample.com", False),
        ("*.example.com", "a.evilexample.com", False),
        ("*.example.com", "a\u3002example.com", False),
        ("**.example.com", "a.b.example.com", True),
        ("**.example.com", "a..example.com", False),
        ("**.example.com", "evil.net/.example.com", False),
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "10.5", False),
    ],
)
def test_a_host_is_compared_label_by_label(pattern: str, host: str, is_served: bool) -> None:
    """Never by the beginning or end of its text."""
    api = Api(name="x", module="x", hosts=(pattern,))
    assert api.serves(host, 443) == is_served
    assert not api.serves(host, 8443)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("a.b.c", "a.b.c", True),
        ("a.b.c", "*.b.c", True),
        ("a.b.c", "*.c.d", False),
        ("*.b.c", "**.c.c", False),
        ("*.a.b.c", "**.b.c", True),
        ("*.b.c", "**.a.b.c", False),
        ("**.b.c", "**.a.b.c", True),
        ("*.b.c", "*.a.b.c", False),
        ("*.b.c", "*.b.c", True),
    ],
)
def test_patterns_of_hosts_may_share_one(one: str, other: str, share: bool) -> None:
    """In either order."""
    assert share_hosts(one, other) == share_hosts(other, one) == share


_GH = Api(
    name="gh",
    module="gh",
    hosts=("api.github.com",),
    allow=("POST /graphql", "GET /**"),
    mutations=("createIssue",),
    repositories=("acme/*", "other/app"),
)


@pytest.mark.parametrize(
    ("field", "is_granted"),
    [
        (GraphQlField("query", "repository", {"owner": "Acme", "name": "any"}), True),
        (GraphQlField("query", "repository", {"owner": "other", "name": "lib"}), False),
        (GraphQlField("query", "repository", {"owner": "acme/x", "name": "any"}), False),
        (GraphQlField("query", "repository", {"owner": "acme", "name": "a/b"}), False),
        (GraphQlField("query", "repository", {"name": "app"}), False),
        (GraphQlField("query", "viewer", fields=("login",)), True),
        (GraphQlField("query", "viewer", fields=("login", "repositories")), False),
        (GraphQlField("query", "viewer", fields=("...",)), False),
        (GraphQlField("query", "organization", {"login": "acme"}), True),
        (GraphQlField("query", "user", {"login": "human"}), False),
        (GraphQlField("query", "search", {"query": "is:pr repo:acme/app author:me"}), True),
        (GraphQlField("query", "search", {"query": "is:pr"}), False),
        (GraphQlField("query", "search", {"query": "repo:acme/app repo:secret/app"}), False),
        (GraphQlField("query", "search", {"query": "repo:acme/app OR is:pr"}), False),
        (GraphQlField("query", "search", {"query": "repo:acme/app org:secret"}), False),
        (GraphQlField("query", "search", {"query": 'repo:acme/app "-repo:x/y"'}), False),
        (GraphQlField("query", "search", {"query": "repo:acme/app owner:secret"}), False),
        (GraphQlField("query", "search", {"query": 'repo:"acme/app"'}), False),
        (GraphQlField("query", "search", {"query": "repo:acme/app repository: x for:y"}), True),
        (GraphQlField("query", "node", {"id": "x"}), True),
        (GraphQlField("query", "enterprise", {"slug": "x"}), False),
        (GraphQlField("mutation", "createIssue"), True),
        (GraphQlField("mutation", "mergePullRequest"), False),
        (GraphQlField("subscription", "createIssue"), False),
    ],
)
def test_graphql_begins_at_a_granted_repository(field: GraphQlField, is_granted: bool) -> None:
    """Mutations are granted by name; one field that is not refuses all."""
    granted = GraphQlField("query", "rateLimit")
    verdict = _GH.judge(ApiCall(method="POST", path="/graphql", graphql=(granted, field)))
    assert (verdict.refusal is None) == is_granted


@pytest.mark.parametrize("fields", [None, ()])
def test_graphql_without_fields_is_refused(fields: tuple[GraphQlField, ...] | None) -> None:
    """A body that nobody has read is not judged by its path."""
    assert _GH.judge(ApiCall(method="POST", path="/graphql", graphql=fields)).refusal
    assert _GH.judge(ApiCall(method="GET", path="/graphql")).refusal
    assert _GH.judge(ApiCall(method="GET", path="/GraphQL/")).refusal


def test_many_fields_and_repositories_cost_other_agents_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The daemon judges in its only thread: by few fields, each by one look at what is granted."""
    compared = []

    def match(rule: str, method: str, path: str) -> bool:
        compared.append(rule)
        return matches_rule(rule, method, path)

    monkeypatch.setattr(api_module, "matches_rule", match)
    granted = tuple(f"acme/app{number}" for number in range(1000))
    api = msgspec.structs.replace(_GH, repositories=granted)
    query = " ".join(f"repo:Acme/app{number}" for number in range(100))
    field = GraphQlField("query", "search", {"query": query})

    def judge(count: int) -> str | None:
        return api.judge(ApiCall(method="POST", path="/graphql", graphql=(field,) * count)).refusal

    assert judge(100) is None
    assert compared == ["POST /graphql", "GET /**"]
    assert judge(101) == "gh graphql is refused: it has 101 fields at its top, of at most 100"


def test_a_refusal_says_what_to_add() -> None:
    """To which table of which file, with the line itself."""
    verdict = _GH.judge(ApiCall(method="PUT", path="/repos/acme/app/pulls/1/merge"))
    assert verdict.refusal == "gh PUT /repos/acme/app/pulls/1/merge is refused: no rule allows it"
    assert verdict.hint == (
        'a person on the host can add "PUT /repos/acme/app/pulls/1/merge" to [gh] allow in this '
        "agent's airlock.toml, and run: airlock reload"
    )


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/repos/not/app/pulls", 'repositories = ["acme/*", "other/app", "not/app"] in this'),
        ("/repos/not/app", 'repositories = ["acme/*", "other/app", "not/app"] in this'),
        ("/repos/other/app/x", '"GET /repos/other/app/x" to [gh] allow in'),
        ("/user", '"GET /user" to [gh] allow in'),
    ],
)
def test_a_repository_that_is_not_granted_is_added_as_one(path: str, line: str) -> None:
    """A line for the one request would be answered by a refusal of the next."""
    verdict = replace(_GH, allow=()).judge(ApiCall(method="GET", path=path))
    assert line in str(verdict.hint)


def test_of_many_repositories_only_the_new_one_is_shown() -> None:
    """A message stays short, and nothing in it is to be filled in."""
    api = replace(_GH, allow=(), repositories=tuple(f"acme/app{number}" for number in range(9)))
    hint = str(api.judge(ApiCall(method="GET", path="/repos/not/app")).hint)
    assert 'add "not/app" (without that line, also the 9 of [git] push, which it replaces)' in hint
    assert " to [gh] repositories in this" in hint
    assert "..." not in hint


@pytest.mark.parametrize(
    ("scopes", "is_too_wide"),
    [
        (None, False),
        ("", False),
        ("read:org, user:email", False),
        ("read:org, repo", True),
        ("gist", True),
    ],
)
def test_a_token_with_scopes_reaches_more_than_repositories(
    scopes: str | None, is_too_wide: bool
) -> None:
    """Unless the profile says that it may."""
    assert _GH.is_too_wide(scopes) == is_too_wide
    assert not msgspec.structs.replace(_GH, wide=True).is_too_wide(scopes)
    assert not msgspec.structs.replace(_GH, repositories=None).is_too_wide(scopes)


def test_scopes_are_asked_for_where_github_has_its_api() -> None:
    """GitHub Enterprise has it below /api."""
    assert _GH.probe_path == "/rate_limit"
    enterprise = msgspec.structs.replace(_GH, graphql_path="/api/graphql")
    assert enterprise.probe_path == "/api/v3/rate_limit"


def test_an_api_without_rules_is_read_as_before_and_grants_nothing() -> None:
    """It is what the process that forwards requests has."""
    bare = _GH.without_rules()
    assert bare.serves("api.github.com", 443)
    assert bare.is_graphql("POST", "/graphql")
    assert bare.judge(ApiCall(method="GET", path="/user")).refusal


def test_an_api_crosses_to_another_process() -> None:
    """All of it is plain values."""
    source = Source(kind="command", words=("gh", "auth", "token"))
    credential = Credential(kind="header", source=source, placeholder="ghp_{36}")
    api = msgspec.structs.replace(_GH, credential=credential)
    assert msgspec.json.decode(msgspec.json.encode(api), type=Api) == api


def test_matching_takes_linear_time() -> None:
    """The longest paths, against a rule with every kind of star, would else take minutes."""
    rule = "GET /a/**/b-*/c/*/d*e/**"
    for path in ("/a" + "/b-x/c" * 2_500, "/a/" + "b-" * 8_000, "/" * 16_000):
        assert not _judge(path, allow=(rule,), deny=(rule,))
