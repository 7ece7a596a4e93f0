"""APIs in a profile: `[NAME]` configures those of the module NAME, `[api.NAME]` adds its own."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.apis import Api, Client
from airlock_modules.files.api_tables import (
    KEY,
    check_rule,
    find_keys,
    read_api,
    read_client,
    read_headers,
    read_parameters,
    read_rules,
    read_source,
)
from airlock_modules.files.aws_tables import fill_client, grant_aws
from airlock_modules.files.toml_reader import TableReader, is_name
from airlock_wire.text import quote

REPOSITORIES = "repositories"
"""The key whose texts also restrict GraphQL queries."""
NAMESPACES = "namespaces"
KUBECONFIG = "--kubeconfig="
CONTEXTS_NAMESPACE = "$namespace"
"""The default of the key NAMESPACES: the namespace of the kubeconfig context."""


class Granted(Struct, frozen=True):
    """APIs granted to an agent, and what its tools get to use them."""

    apis: tuple[Api, ...]
    client: Client


def grant_apis(
    apis: Sequence[Api],
    clients: Mapping[str, Client],
    table: TableReader,
    *,
    repositories: Sequence[str] = (),
    environment: Mapping[str, str] = {},
) -> Granted:
    """Return a module's APIs, widened and narrowed by `table`, empty for a profile without one.

    `repositories` is the default if the table names none, `environment` the profile's variables.
    `allow` applies to the first API only, `deny`, `forms`, `headers` and `parameters` to all.
    `table` records faults.
    """
    if apis and apis[0].aws is not None:
        return _grant_aws(apis[0], clients, table, environment)
    rules = [rule for each in apis for rule in _list_rules(each)]
    arrays = find_keys(rules)
    switches = {key for each in apis for key in each.options} | set(clients) - {""}
    texts = {key: _read_texts(table, key) for key in sorted(arrays)}
    if REPOSITORIES in arrays and not table.has(REPOSITORIES):
        texts[REPOSITORIES] = tuple(repositories)
    on = {key for key in switches - arrays if table.boolean(key, default=False)}
    on |= {key for key in switches & arrays if texts[key]}
    has_graphql = any(each.mutations is not None for each in apis)
    allow = read_rules(table, "allow", has_graphql=has_graphql)
    deny = read_rules(table, "deny", has_graphql=has_graphql)
    forms = read_rules(table, "forms", has_graphql=False)
    headers = read_headers(table)
    parameters = read_parameters(table)
    wide = table.boolean("wide", default=False) if REPOSITORIES in arrays else False
    is_cluster = any(each.is_cluster for each in apis)
    words = _read_cluster(table) if is_cluster else ()
    if is_cluster and NAMESPACES in arrays and not table.has(NAMESPACES):
        texts[NAMESPACES] = (CONTEXTS_NAMESPACE,)
    has_source = table.has("credential") and not is_cluster
    source = read_source(table.table("credential")) if has_source else None
    granted = []
    for number, api in enumerate(apis):
        added = [rule for key in sorted(on) for rule in api.options.get(key, ())]
        own = allow.operations if number == 0 else ()
        mutations = api.mutations
        if mutations is not None:
            mutations = (*mutations, *allow.mutations)
        credential = api.credential
        if credential is not None and source is not None:
            credential = replace(credential, source=source)
        if credential is not None and api.is_cluster:
            command = (*credential.source.words, *words)
            credential = replace(credential, source=replace(credential.source, words=command))
        granted.append(
            replace(
                api,
                credential=credential,
                allow=(*_fill(table, (*api.allow, *added), texts), *own),
                deny=(*_fill(table, api.deny, texts), *deny.lines),
                secret=tuple(_fill(table, api.secret, texts)),
                upgrade=tuple(_fill(table, api.upgrade, texts)),
                forms=(*_fill(table, api.forms, texts), *forms.operations),
                mutations=mutations,
                repositories=texts.get(REPOSITORIES),
                wide=wide,
                headers=(*api.headers, *headers),
                parameters=_add(api.parameters, parameters),
                options={},
            )
        )
    return Granted(tuple(granted), _join_clients(clients, on, table))


def _grant_aws(
    api: Api, clients: Mapping[str, Client], table: TableReader, environment: Mapping[str, str]
) -> Granted:
    """Return AWS as the profile's table grants it; an empty table grants nothing."""
    if not table.names():
        return Granted((), Client())
    source = None
    if table.has("credential"):
        source = read_source(table.table("credential"), forms=("aws",))
    granted = grant_aws(api, table, environment, source=source)
    return Granted((granted,), fill_client(_join_clients(clients, set(), table), granted))


def _read_cluster(table: TableReader) -> tuple[str, ...]:
    """Return kubectl's options that select the profile's cluster."""
    table.refuse("credential", "is that of the kubeconfig", "write context or kubeconfig")
    context, path = table.string("context"), table.string("kubeconfig")
    if path is not None and not path.startswith(("/", "~/")):
        remedy = 'write it like "~/.kube/work.yaml"'
        table.fault("kubeconfig", f"{quote(path)} is no absolute path", remedy)
    named = () if path is None else (f"{KUBECONFIG}{path}",)
    return (*named, *(() if context is None else (f"--context={context}",)))


def read_own_apis(profile: TableReader) -> tuple[Granted, ...]:
    """Read every `[api.NAME]` of a profile, which records faults."""
    granted = []
    outer = profile.table("api")
    for name in outer.names():
        table = outer.table(name)
        if not is_name(name):
            outer.fault(
                name, f"{quote(name)} cannot name an API", "use letters, digits, . _ and - only"
            )
        table.refuse("options", "is of modules alone", "write these rules into allow")
        api = read_api(table, name=f"api.{name}", module=f"api.{name}")
        if api.aws is not None:
            table.fault("credential", "is of the module aws alone", "write it into [aws]")
        for rule in _list_rules(api):
            if KEY.search(rule):
                table.fault(
                    "allow",
                    f"{quote(rule)} has a key in braces, as modules have",
                    "write the rule out",
                )
        granted.append(Granted((api,), read_client(table)))
    return tuple(granted)


def _list_rules(api: Api) -> tuple[str, ...]:
    added = [rule for rules in api.options.values() for rule in rules]
    return (*api.allow, *api.deny, *api.secret, *api.upgrade, *api.forms, *added)


def _read_texts(table: TableReader, key: str) -> tuple[str, ...]:
    texts = table.strings(key)
    for text in texts:
        parts = text.split("/")
        if key == REPOSITORIES and (len(parts) != 2 or "**" in text):
            table.fault(
                key, f"{quote(text)} is no OWNER/NAME", 'write it like "acme/app" or "acme/*"'
            )
        elif not all(parts) or {".", ".."} & set(parts) or any(mark in text for mark in "{}%"):
            table.fault(
                key, f"{quote(text)} is no plain name", 'write it like "acme/app" or "@acme/*"'
            )
        else:
            check_rule(table, key, f"* /{text}")
    return texts


def _fill(
    table: TableReader, rules: Sequence[str], texts: Mapping[str, Sequence[str]]
) -> list[str]:
    """Expand each key in the rules to its texts; a rule whose key has none is dropped."""
    filled = []
    for rule in rules:
        found = KEY.search(rule)
        if found is None:
            filled.append(rule)
            continue
        for text in texts.get(found[1], ()):
            put = text.replace("/", "%2F") if found[2] else text
            each = rule[: found.start()] + put + rule[found.end() :]
            filled.extend(_fill(table, [each], texts))
    return filled


def _add(module: tuple[str, ...] | None, profile: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the parameters of both, None if neither lists any."""
    return profile if module is None else (*module, *(profile or ()))


def _join_clients(clients: Mapping[str, Client], on: set[str], table: TableReader) -> Client:
    """Merge the clients for "" and the enabled options; the table's `env` and `files` override."""
    given = [clients[key] for key in ("", *sorted(on)) if key in clients]
    own = read_client(table)
    env = (
        own.env
        if table.has("env")
        else {name: text for each in given for name, text in each.env.items()}
    )
    files = (
        own.files
        if table.has("files")
        else {path: text for each in given for path, text in each.files.items()}
    )
    return Client(env=env, files=files)
