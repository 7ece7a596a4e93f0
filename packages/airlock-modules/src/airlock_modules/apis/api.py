"""An API that an agent may use: its hosts, its credential, and the granted operations.

All are plain values, so that they can be sent to the process that talks to the API.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.apis.aws import Call, Grant
from airlock_modules.apis.graphql import GraphQlField
from airlock_modules.apis.patterns import (
    Verdict,
    find_rule_problem,
    is_literal,
    matches_host,
    matches_rule,
    may_match_rule,
)
from airlock_wire.text import quote

_NARROW_SCOPES = ("read:", "user:email")
_THEN = ", and run: airlock reload"
# Fields of GitHub's schema that reveal nothing about any repository.
_HARMLESS = frozenset({"__typename", "__schema", "__type", "rateLimit"})
# Fields of an account that lead to none of its repositories.
_OF_ACCOUNT = frozenset(
    {"__typename", "login", "id", "databaseId", "name", "email", "url", "avatarUrl"}
)
# An id does not show what it names; only the token's own scope limits these.
_BY_ID = frozenset({"node", "nodes"})
_REPOSITORY = re.compile(r"/repos/([\w.-]+/[\w.-]+)(?:/|$)")
# In a search, qualifiers of another scope, and operators other than "and".
_WIDENING = re.compile(
    r"(?:^|[^a-z])(?:repo|org|user|owner|enterprise):|(?:^| )(?:or|not)(?: |$)|[()]"
)
_UNCLEAR_QUOTE = re.compile(r"[\\|\u00ab\u00bb\u2018-\u201f\u2039\u203a\uff02]")
# The methods that frameworks substitute for a POST whose form has `_method`.
_BY_FORMS = ("PUT", "PATCH", "DELETE")
_OWNERS = frozenset({"organization", "user", "repositoryOwner"})
# GitHub accepts 256 characters without operators; the daemon judges all in its only thread, where
# other agents wait.
_MAX_SEARCH = 2048
_MAX_FIELDS = 100
_MAX_ADVISED = 8


class Source(Struct, frozen=True, kw_only=True):
    """Where the daemon gets a credential.

    `words` are the argv of a "command"; the path of a "file", which may begin with `~/`; the name
    of a variable of the daemon ("env"); or the name under which `airlock login` "stored" it. The
    output or content is used "raw", without its final newline, or parsed as the output of
    `aws configure export-credentials --format process` ("aws"), a Kubernetes ExecCredential
    ("exec-credential"), or a kubeconfig in JSON ("kubeconfig").
    """

    kind: Literal["command", "file", "env", "stored"]
    words: tuple[str, ...]
    format: Literal["raw", "aws", "exec-credential", "kubeconfig"] = "raw"


class Credential(Struct, frozen=True, kw_only=True):
    """How a credential is sent, and the form of the agent's placeholder for it.

    "header" sends it in `headers` (names in lower case; in authorization after Bearer or token);
    "basic" as the password of Basic authorization, for `user` if not empty; "aws" signs requests;
    "client-certificate" presents it in TLS, and the requests have no credential. `query` names
    parameters that may have it too. `placeholder` is the form of the agent's placeholder.
    """

    kind: Literal["header", "basic", "aws", "client-certificate"]
    source: Source
    headers: tuple[str, ...] = ("authorization",)
    query: tuple[str, ...] = ()
    placeholder: str
    user: str = ""


class Client(Struct, frozen=True, kw_only=True):
    """What a tool gets to use an API: variables, and files by path.

    In their text `{placeholder}` expands to the placeholder, `{id}` and `{secret}` to the parts of
    AWS's before and after its slash, `{ca}` to the path of the agent's CA, `{bundle}` to that of a
    file with the system's CAs too. For a Kubernetes cluster `{server}` is its URL and `{namespace}`
    the default namespace. The daemon publishes files whose path is in /run/airlock.
    """

    env: Mapping[str, str] = {}
    files: Mapping[str, str] = {}

    @property
    def has_placeholder(self) -> bool:
        """Whether a tool gets a placeholder, so that it needs the credential."""
        return any("{placeholder}" in text for text in (*self.env.values(), *self.files.values()))

    def fill(self, *, placeholder: str, ca: str, bundle: str) -> "Client":
        """Return the client settings with these expanded."""

        identifier, _, secret = placeholder.partition("/")

        def put(text: str) -> str:
            filled = text.replace("{placeholder}", placeholder)
            filled = filled.replace("{id}", identifier).replace("{secret}", secret)
            return filled.replace("{ca}", ca).replace("{bundle}", bundle)

        return Client(
            env={name: put(text) for name, text in self.env.items()},
            files={path: put(text) for path, text in self.files.items()},
        )


class ApiCall(Struct, frozen=True, kw_only=True):
    """One operation of an API. `path` is that of a Head; `graphql` has the fields in its body.

    `query_names` are its decoded parameter names. With `has_form` its body may be a form.
    """

    method: str
    path: str
    query_names: tuple[str, ...] = ()
    graphql: tuple[GraphQlField, ...] | None = None
    upgrade: str | None = None
    has_form: bool = False
    aws: Call | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The operation's words, after the name of the API."""
        if self.aws is not None:
            return self.aws.words
        if self.graphql is not None:
            fields = (word for each in self.graphql for word in (each.kind, each.name))
            return ("graphql", *fields)
        return (self.method, self.path)


class Api(Struct, frozen=True, kw_only=True):
    """One `[[api]]` as granted to an agent.

    `name` is unique for an agent, `module` names the table in its profile. `hosts` are names, with
    `*.` or `**.` before them for subdomains; `ca` has certificates for hosts that the system's do
    not verify, as the path of a file or in PEM. `allow`, `deny`, `secret`, `upgrade` and `forms`
    are operations, `METHOD[,METHOD] /path`: those of `secret` answer with a credential, and no
    wildcard grants them; those of `forms` ignore a method named in a form. `mutations` are the
    GraphQL mutations granted at `graphql_path`, None if the API has no GraphQL; `repositories`
    (`owner/name`) limit its queries. With `wide` a token may reach more than these. `loose_paths`
    permits empty segments and `;` in a path. `options` are further rules, which a profile enables
    by name. `parameters` are the permitted query parameters, None for any that carry no credential;
    `metadata` the permitted members of the metadata of an upload to Google. `headers` are names in
    lower case, or prefixes before `*`, that pass besides HTTP's own. AWS is judged by `aws`, not by
    rules.
    """

    name: str
    module: str
    hosts: tuple[str, ...]
    ports: tuple[int, ...] = (443,)
    ca: str | None = None
    credential: Credential | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    upgrade: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    mutations: tuple[str, ...] | None = None
    graphql_path: str = "/graphql"
    repositories: tuple[str, ...] | None = None
    wide: bool = False
    loose_paths: bool = False
    headers: tuple[str, ...] = ()
    parameters: tuple[str, ...] | None = None
    metadata: tuple[str, ...] | None = None
    options: Mapping[str, tuple[str, ...]] = {}
    aws: Grant | None = None

    def serves(self, host: str, port: int) -> bool:
        """Whether this API is at a host, ignoring case and a trailing dot."""
        name = host.lower().removesuffix(".")
        return port in self.ports and any(matches_host(each, name) for each in self.hosts)

    def without_rules(self) -> "Api":
        """Return the API without its rules, for the process that forwards but does not judge."""
        bare = replace(self, allow=(), deny=(), secret=(), upgrade=(), forms=(), options={})
        return replace(bare, parameters=None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a person may refer to it; an [api.NAME] may be called NAME."""
        names = (self.module, self.name, self.module.removeprefix("api."))
        return tuple(dict.fromkeys(names))

    @property
    def fingerprint(self) -> str:
        """A hash of everything but the rules, such as hosts, ports, CA and credential."""
        return hashlib.sha256(msgspec.json.encode(self.without_rules())).hexdigest()

    @property
    def ca_file(self) -> str | None:
        """The path of the certificate file, None if `ca` is not a path."""
        return None if self.ca is None or self.ca.startswith("-----") else self.ca

    @property
    def has_uploads(self) -> bool:
        """Whether upload ids are sealed: content sent to one reaches whoever began it."""
        return self.credential is not None and self.aws is None

    @property
    def is_cluster(self) -> bool:
        """Whether it is a Kubernetes cluster from the human's kubeconfig."""
        return self.credential is not None and self.credential.source.format == "kubeconfig"

    @property
    def is_bounded(self) -> bool:
        """Whether a token must reach no more than the repositories."""
        return self.repositories is not None and not self.wide

    @property
    def probe_path(self) -> str:
        """The path of a harmless, unmetered request that reveals a token's scopes.

        GitHub Enterprise has its API below /api.
        """
        return "/api/v3/rate_limit" if self.graphql_path == "/api/graphql" else "/rate_limit"

    def is_too_wide(self, scopes: str | None) -> bool:
        """Whether a token with these scopes may reach more than the repositories.

        `scopes` is GitHub's response header X-OAuth-Scopes, which a fine-grained token lacks.
        """
        if not self.is_bounded or scopes is None:
            return False
        named = (scope.strip() for scope in scopes.split(","))
        return any(each and not each.startswith(_NARROW_SCOPES) for each in named)

    def is_graphql(self, method: str, path: str) -> bool:
        """Whether a request's body is GraphQL, and must be read to judge it."""
        return self.mutations is not None and method == "POST" and path == self.graphql_path

    def list_operations(self, asked: ApiCall) -> Iterator[tuple[str, ...]]:
        """Yield all operations that a request may amount to, each by its words, under each name."""
        return ((name, *words) for words in self._list_words(asked) for name in self.names)

    def _list_words(self, asked: ApiCall) -> Iterator[tuple[str, ...]]:
        yield asked.words
        if asked.aws is not None:
            yield from asked.aws.list_operations()
            return
        for field in asked.graphql or ():
            # It need not be the first to matter.
            yield ("graphql", field.kind, field.name)
        for method in self._list_methods(asked):
            yield (method, asked.path)

    def _list_methods(self, asked: ApiCall) -> Iterator[str]:
        """Yield the methods that a service may see in a request."""
        yield asked.method
        if asked.method == "HEAD":
            yield "GET"
        if asked.has_form and not any(
            matches_rule(rule, asked.method, asked.path) for rule in self.forms
        ):
            yield from _BY_FORMS

    def judge(self, asked: ApiCall) -> Verdict:
        """Judge one operation; anything that no rule allows is refused."""
        if self.aws is not None and asked.aws is not None:
            return self.aws.judge(asked.aws)
        method, path = asked.method, asked.path
        shown = f"{self.name} {method} {quote(path, limit=200)[1:-1]}"
        denied = next((rule for rule in self.deny if may_match_rule(rule, method, path)), None)
        if denied is not None:
            return Verdict(f"{shown} is refused: deny has {denied}", denied, self._advise("deny"))
        granting = [rule for rule in self.allow if matches_rule(rule, method, path)]
        why = "no rule allows it"
        secret = next((rule for rule in self.secret if may_match_rule(rule, method, path)), None)
        if secret is not None:
            granting = [rule for rule in granting if is_literal(rule) or rule == secret]
            why = "it is listed as secret, which no * grants"
        if not granting:
            return Verdict(f"{shown} is refused: {why}", "allow", self._advise_grant(method, path))
        beyond = self._judge_form(asked, shown) or self._judge_upgrade_and_query(asked, shown)
        if beyond is not None:
            return beyond
        if self.mutations is not None and may_match_rule(f"* {self.graphql_path}", method, path):
            return self._judge_graphql(asked.graphql, granting[0])
        return Verdict(None, granting[0])

    def _judge_form(self, asked: ApiCall, shown: str) -> Verdict | None:
        """Refuse a form that may override the method (`_method`) with one that is not granted."""
        if not asked.has_form:
            return None
        _, *others = self._list_methods(asked)
        calls = (replace(asked, method=other, has_form=False) for other in others)
        if all(self.judge(call).refusal is None for call in calls):
            return None
        why = "its body may be a form, which can make a POST a PUT, PATCH or DELETE"
        advice = self._advise("forms", f'"{asked.method} {asked.path}"')
        hint = f"send it as application/json; or {advice}"
        return Verdict(f"{shown} is refused: {why}", "forms", hint)

    def _judge_upgrade_and_query(self, asked: ApiCall, shown: str) -> Verdict | None:
        """Return the refusal of an upgrade or parameter that is not granted, or None.

        `shown` is the operation for the message.
        """
        upgrading = (matches_rule(rule, asked.method, asked.path) for rule in self.upgrade)
        if asked.upgrade is not None and not any(upgrading):
            why = f"an upgrade to {quote(asked.upgrade, limit=40)} is not granted"
            return Verdict(f"{shown} is refused: {why}", "upgrade", self._advise("upgrade"))
        if self.parameters is None:
            return None
        own = () if self.credential is None else self.credential.query
        for name in asked.query_names:
            if name not in self.parameters and name not in own:
                quoted = quote(name, limit=80)
                why = f"the query parameter {quoted} is not listed, and could change its meaning"
                hint = self._advise("parameters", quoted)
                return Verdict(f"{shown} is refused: {why}", "parameters", hint)
        return None

    def _judge_graphql(self, fields: tuple[GraphQlField, ...] | None, rule: str) -> Verdict:
        if not fields:
            return Verdict(
                f"{self.name} graphql is refused: it has no operation", "graphql", "send a query"
            )
        if len(fields) > _MAX_FIELDS:
            why = f"it has {len(fields)} fields at its top, of at most {_MAX_FIELDS}"
            hint = "ask for them in several requests"
            return Verdict(f"{self.name} graphql is refused: {why}", "graphql", hint)
        for field in fields:
            shown = f"{self.name} graphql {field.kind} {field.name}"
            if field.kind == "mutation":
                line = f"mutation {field.name}"
                if line in self.deny:
                    problem = f"{shown} is refused: deny has {line}"
                    return Verdict(problem, line, self._advise("deny"))
                if field.name not in (self.mutations or ()):
                    hint = self._advise("allow", f'"{line}"')
                    return Verdict(f"{shown} is refused: no rule allows it", "graphql", hint)
                continue
            if field.kind == "subscription" or not self._may_query(field):
                hint = self._advise("repositories")
                return Verdict(
                    f"{shown} is refused: it is about no granted repository", "graphql", hint
                )
        return Verdict(None, rule)

    def _may_query(self, field: GraphQlField) -> bool:
        """Whether a query starts at a granted repository, its owner, or a node id."""
        if self.repositories is None or field.name in _HARMLESS or field.name in _BY_ID:
            return True
        said = field.arguments
        if field.name == "viewer":
            return _OF_ACCOUNT.issuperset(field.fields)
        if field.name == "repository":
            return self._has((f"{said.get('owner', '')}/{said.get('name', '')}",))
        if field.name in _OWNERS:
            login = said.get("login", "").lower()
            is_owner = any(each.partition("/")[0].lower() == login for each in self.repositories)
            return is_owner and _OF_ACCOUNT.issuperset(field.fields)
        return field.name == "search" and self._may_search(said.get("query", ""))

    def _may_search(self, query: str) -> bool:
        """Whether a search is limited to granted repositories."""
        if len(query) > _MAX_SEARCH or query.count('"') % 2 or _UNCLEAR_QUOTE.search(query):
            return False
        others = query.lower()
        # A quoted text is searched for and is no qualifier.
        words = re.sub('"[^"]*"', '""', others).split()
        named = [word for word in words if word.startswith("repo:")]
        for word in named:
            others = others.replace(word, "", 1)
        if not named or _WIDENING.search(others):
            return False
        return self._has({word.removeprefix("repo:") for word in named})

    def _has(self, named: Iterable[str]) -> bool:
        """Whether all of these repositories are granted; GitHub ignores case."""
        literal, rules = _sort_repositories(self.repositories or ())
        return all(
            each in literal or any(matches_rule(rule, "GET", f"/{each}") for rule in rules)
            for each in map(str.lower, named)
        )

    def _advise_grant(self, method: str, path: str) -> str:
        """How to grant a request: its repository, if that is what it lacks, or a rule for it."""
        other = _REPOSITORY.match(path) if method == "GET" else None
        if self.repositories is not None and other and not self._has((other[1],)):
            # They may be those of [git] push, which the key replaces.
            named = (*self.repositories, other[1])
            if len(named) > _MAX_ADVISED:
                return self._advise(
                    "repositories",
                    f"{quote(other[1])} (without that line, also the {len(self.repositories)} of "
                    "[git] push, which it replaces)",
                )
            shown = ", ".join(map(quote, named))
            return self._advise(f"repositories = [{shown}]", what="write")
        is_rule = find_rule_problem(f"{method} {path}") is None and "*" not in path
        return self._advise("allow", f'"{method} {path}"' if is_rule else "a rule for it")

    def _advise(self, key: str, line: str = "", *, what: str = "change") -> str:
        what = f"add {line} to" if line else what
        where = f"[{self.module}] {key} in this agent's airlock.toml"
        return f"a person on the host can {what} {where}{_THEN}"


@functools.lru_cache(64)
def _sort_repositories(named: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The repositories in lower case, and a rule for each pattern of some."""
    lower = [each.lower() for each in named]
    patterns = (each for each in lower if "*" in each)
    return frozenset(lower), tuple(f"* /{each}" for each in patterns)
