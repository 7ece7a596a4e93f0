"""Reading APIs and client settings: a module's `[[api]]` and `[client]`, a profile's `[api.NAME]`.

In a module's rules `{KEY}` expands to each text at that key of the profile's table `[MODULE]`, and
`{KEY!}` to the same with `/` escaped. `options` of an API are rules that a profile enables by a key
each, and `[client.KEY]` is what tools get then.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from airlock_modules.apis import Api, Client, Credential, Source
from airlock_modules.apis.credentials import find_form_problem, find_header_problem
from airlock_modules.apis.patterns import find_rule_problem, is_host_pattern
from airlock_modules.files.aws_tables import read_aws_api
from airlock_modules.files.toml_reader import TableReader, is_name
from airlock_wire.text import quote

Form = Literal["raw", "aws", "exec-credential", "kubeconfig"]
"""The format of a source's output."""

_KINDS: Mapping[str, Literal["header", "basic", "client-certificate"]] = {
    "header": "header",
    "basic": "basic",
    "client-certificate": "client-certificate",
}
# The formats allowed for each kind of credential; the first is the default.
_FORMS: Mapping[str, tuple[Form, ...]] = {
    "header": ("raw", "exec-credential", "kubeconfig"),
    "client-certificate": ("raw", "exec-credential"),
}
_SOURCES: tuple[Literal["command", "file", "env", "stored"], ...] = (
    "command",
    "file",
    "env",
    "stored",
)
_HEADER = re.compile(r"[a-z0-9-]{1,64}")
_PARAMETER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NAME_OF_PARAMETER = re.compile(r"[A-Za-z0-9_.$\[\]-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MUTATION = re.compile(r"mutation ([_A-Za-z][_0-9A-Za-z]*)")
KEY = re.compile(r"\{([a-z][a-z_]*)(!?)\}")
"""A key in a rule, which expands to texts of the profile."""
_RULES = ("allow", "deny", "secret", "upgrade", "forms")


class Rules(Struct, frozen=True):
    """Rules for operations, and names of GraphQL mutations."""

    operations: tuple[str, ...] = ()
    mutations: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """All rules as written, operations first."""
        return (*self.operations, *(f"mutation {name}" for name in self.mutations))


def read_apis(reader: TableReader, *, module: str) -> tuple[Api, ...]:
    """Read every `[[api]]` of the module file; `reader` records faults."""
    apis = []
    for number, table in enumerate(reader.entries("api"), start=1):
        if isinstance(table, str):
            reader.fault("api", f"item {number}: must be a table", "write [[api]] and its keys")
        else:
            name = module if number == 1 else f"{module}.{number}"
            apis.append(read_api(table, name=name, module=module))
    return tuple(apis)


def read_api(table: TableReader, *, name: str, module: str) -> Api:
    """Read the table of one API, which records faults."""
    given = table.table("credential")
    if given.string("as") == "aws":
        source = read_source(given, forms=("aws",))
        return read_aws_api(table, name=name, module=module, source=source)
    graphql = table.table("graphql")
    mutations = graphql.strings("mutations", required=True) if table.has("graphql") else None
    rules = {key: read_rules(table, key, has_graphql=mutations is not None) for key in _RULES}
    if mutations is not None:
        mutations = (*mutations, *rules["allow"].mutations)
    options = table.table("options")
    credential = _read_credential(table.table("credential")) if table.has("credential") else None
    is_cluster = credential is not None and credential.source.format == "kubeconfig"
    if is_cluster:
        for key in ("hosts", "ports", "ca"):
            table.refuse(key, "is not asked for: the kubeconfig says it", "remove it")
        if module.startswith("api."):
            remedy = 'grant kubectl, or write format = "exec-credential", hosts and ca'
            table.fault("credential", "is a kubeconfig, which is for modules alone", remedy)
    ca = table.string("ca")
    if ca is not None and not ca.startswith(("/", "~/")):
        table.fault(
            "ca",
            f"{quote(ca)} is no absolute path",
            'write it like "/etc/ssl/corp.pem" or "~/ca.pem"',
        )
    return Api(
        name=name,
        module=module,
        hosts=() if is_cluster else _read_hosts(table),
        ports=(443,) if is_cluster else _read_ports(table),
        ca=ca,
        credential=credential,
        allow=rules["allow"].operations,
        deny=rules["deny"].lines,
        secret=rules["secret"].operations,
        upgrade=rules["upgrade"].operations,
        forms=rules["forms"].operations,
        mutations=mutations,
        graphql_path=graphql.string("path", default="/graphql"),
        loose_paths=table.boolean("loose_paths", default=False),
        headers=read_headers(table),
        parameters=read_parameters(table),
        metadata=read_parameters(table, "metadata"),
        options={
            key: read_rules(options, key, has_graphql=False).operations for key in options.names()
        },
    )


def read_headers(table: TableReader) -> tuple[str, ...]:
    """Read `headers`: names that pass besides HTTP's own. `table` records faults."""
    headers = tuple(name.lower() for name in table.strings("headers"))
    for name in headers:
        problem = find_header_problem(name)
        if problem is not None:
            remedy = 'write it like "x-github-api-version" or "anthropic-*"'
            table.fault("headers", f"{quote(name, limit=120)} {problem}", remedy)
    return headers


def read_parameters(table: TableReader, key: str = "parameters") -> tuple[str, ...] | None:
    """Read the names at a key, None without it. `table` records faults."""
    if not table.has(key):
        return None
    names = table.strings(key)
    for name in names:
        if not _NAME_OF_PARAMETER.fullmatch(name):
            remedy = 'write it as the service does, like "pageToken" or "include[]"'
            table.fault(key, f"{quote(name, limit=120)} is no name of one", remedy)
    return names


def read_clients(reader: TableReader) -> dict[str, Client]:
    """Read `[client]`, which always applies and has the key "", and each `[client.KEY]`."""
    table = reader.table("client")
    clients = {"": read_client(table)}
    for key in table.names():
        if key not in ("env", "files"):
            clients[key] = read_client(table.table(key))
    return clients


def read_client(table: TableReader) -> Client:
    """Read `env` and `files` of a table, which records faults."""
    env, files = table.string_map("env"), table.string_map("files")
    for name in env:
        if not _VARIABLE.fullmatch(name):
            problem = f"{quote(name)} is not the name of an environment variable"
            table.fault("env", problem, "use letters, digits and _ only, and no digit first")
    for path in files:
        parts = path.split("/")
        if parts[0] not in ("", "~") or len(parts) < 2 or {"", ".", ".."} & set(parts[1:]):
            problem = f"{quote(path)} is no plain path of the container"
            table.fault("files", problem, 'write it like "~/.npmrc" or "/etc/tool.conf"')
    return Client(env=env, files=files)


def read_source(table: TableReader, *, forms: Sequence[Form] = ("raw",)) -> Source | None:
    """Read the source of a credential from one of four keys. `table` records faults.

    `forms` are the formats allowed for the kind of credential, the default first.
    """
    named = [key for key in _SOURCES if table.has(key)]
    given = table.string("format", default=forms[0])
    form = next((each for each in forms if each == given), forms[0])
    if form != given:
        known = " or ".join(f'"{each}"' for each in forms)
        table.fault("format", "is not that of its kind", f"write {known}, or remove the key")
    words = {
        key: table.strings(key) if key == "command" else _read_word(table, key) for key in _SOURCES
    }
    if len(named) != 1:
        problem = "names no source" if not named else "names more than one source"
        remedy = 'write one of command = ["gh", "auth", "token"], file = "~/PATH", env = "NAME" '
        remedy += 'and stored = "NAME"'
        table.fault("", problem, remedy)
        return None
    kind: Literal["command", "file", "env", "stored"] = named[0]
    if kind == "command" and not words[kind]:
        table.fault("command", "must not be empty", 'write it like ["gh", "auth", "token"]')
    if (form == "exec-credential" and kind in ("env", "stored")) or (
        form == "kubeconfig" and kind != "command"
    ):
        table.fault("format", f"has no meaning for {kind}", "name a command")
    return Source(kind=kind, words=words[kind], format=form)


def read_rules(table: TableReader, key: str, *, has_graphql: bool) -> Rules:
    """Read an array of rules, including `mutation NAME` if the API has GraphQL.

    `table` records faults.
    """
    operations, mutations = [], []
    for rule in table.strings(key):
        mutation = _MUTATION.fullmatch(rule)
        if mutation is not None and has_graphql and key in ("allow", "deny"):
            mutations.append(mutation[1])
        elif check_rule(table, key, rule):
            operations.append(rule)
    return Rules(tuple(operations), tuple(mutations))


def check_rule(table: TableReader, key: str, rule: str) -> bool:
    """Return whether a rule is valid; record a fault if not."""
    problem = find_rule_problem(KEY.sub("x", rule))
    if problem is not None:
        remedy = 'write it like "GET,POST /repos/acme/*/pulls/**"'
        table.fault(key, f"{quote(rule, limit=120)} {problem}", remedy)
    return problem is None


def find_keys(rules: Iterable[str]) -> set[str]:
    """Return the profile keys that these rules use."""
    return {found[1] for rule in rules for found in KEY.finditer(rule)}


def _read_certificate(table: TableReader, source: Source | None) -> Credential | None:
    """Return a TLS client certificate as credential, for which tools send no placeholder."""
    for key in ("headers", "query", "placeholder", "user"):
        table.refuse(key, "has no meaning for a certificate, which TLS has", "remove it")
    if source is not None and source.kind == "stored":
        remedy = 'write file = "~/PATH", a file with certificate and key in PEM'
        table.fault("stored", "has no certificate: login reads a line", remedy)
    if source is None:
        return None
    return Credential(kind="client-certificate", source=source, headers=(), placeholder="")


def _read_word(table: TableReader, key: str) -> tuple[str, ...]:
    word = table.string(key)
    if word is None:
        return ()
    if key == "file" and not word.startswith(("/", "~/")):
        table.fault(
            key, f"{quote(word)} is no absolute path", 'write it like "~/.config/tool/token"'
        )
    elif key == "env" and not _VARIABLE.fullmatch(word):
        table.fault(
            key, f"{quote(word)} is no name of a variable", "use letters, digits and _ only"
        )
    elif key == "stored" and not is_name(word):
        remedy = "write the name that airlock login is given"
        table.fault(key, f"{quote(word)} names no stored credential", remedy)
    return (word,)


def _read_hosts(table: TableReader) -> tuple[str, ...]:
    hosts = tuple(host.lower() for host in table.strings("hosts", required=True))
    if table.has_array("hosts") and not hosts:
        table.fault("hosts", "must not be empty", 'write it like ["api.example.com"]')
    for host in hosts:
        if not is_host_pattern(host):
            problem = f"{quote(host)} is no name of a host"
            remedy = (
                'write it like "api.example.com", "*.example.com" or "10.0.0.5", without a port'
            )
            table.fault("hosts", problem, remedy)
    return hosts


def _read_ports(table: TableReader) -> tuple[int, ...]:
    ports = table.integers("ports", default=(443,), minimum=1, maximum=65535)
    if not ports:
        table.fault("ports", "must not be empty", "write it like [443], or remove the key")
    return ports


def _read_credential(table: TableReader) -> Credential | None:
    kind = table.string("as", required=True)
    if kind and kind not in _KINDS:
        remedy = 'write "header", "basic" or "client-certificate"'
        table.fault("as", f"{quote(kind)} is not one of its values", remedy)
    source = read_source(table, forms=_FORMS.get(kind or "", ("raw",)))
    if kind == "client-certificate":
        return _read_certificate(table, source)
    headers = tuple(name.lower() for name in table.strings("headers", default=("authorization",)))
    query = table.strings("query")
    for key, names, form in (("headers", headers, _HEADER), ("query", query, _PARAMETER)):
        for name in names:
            if not form.fullmatch(name):
                table.fault(key, f"{quote(name)} cannot be such a name", "correct or remove it")
    if not headers and not query:
        table.fault("headers", "must not be empty", 'write it like ["authorization"]')
    if kind == "basic" and (headers != ("authorization",) or query):
        table.fault("headers", "has no meaning for Basic, which has authorization", "remove it")
    user = table.string("user", default="")
    if user and (kind != "basic" or ":" in user or not user.isascii() or not user.isprintable()):
        table.fault(
            "user", "is of Basic credentials alone, and has no colon", "correct or remove it"
        )
    placeholder = table.string("placeholder", required=True)
    problem = find_form_problem(placeholder) if placeholder else None
    if problem is not None:
        table.fault("placeholder", f"{quote(placeholder)} {problem}", 'write it like "ghp_{36}"')
    if source is None or kind not in _KINDS:
        return None
    return Credential(
        kind=_KINDS[kind],
        source=source,
        headers=headers,
        query=query,
        placeholder=placeholder,
        user=user,
    )
