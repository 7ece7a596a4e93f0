"""What a profile says of APIs: `[NAME]` for those of the module NAME, `[api.NAME]` for its own."""

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
"""The key whose texts also bound queries of GraphQL."""
NAMESPACES = "namespaces"
KUBECONFIG = "--kubeconfig="
CONTEXTS_NAMESPACE = "$namespace"
"""What stands at the key NAMESPACES, where a profile has none, for the namespace of the context."""


class Granted(Struct, frozen=True):
    """APIs as an agent has them, and what its tools are given for them."""

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
    """The APIs of a module, widened and narrowed by `table`; a profile without one has it empty.

    `repositories` are those of a profile that names none, `environment` is what it sets. `allow`
    counts for the first of the APIs, `deny`, `forms`, `headers` and `parameters` for all.
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
    """AWS as a profile with a table for it has it; without one it is not there."""
    if not table.names():
        return Granted((), Client())
    source = None
    if table.has("credential"):
        source = read_source(table.table("credential"), forms=("aws",))
    granted = grant_aws(api, table, environment, source=source)
    return Granted((granted,), fill_client(_join_clients(clients, set(), table), granted))


def _read_cluster(table: TableReader) -> tuple[str, ...]:
    """Options of kubectl, by which it finds the cluster that a profile means."""
    table.refuse("credential", "is that of the kubeconfig", "write context or kubeconfig")
    context, path = table.string("context"), table.string("kubeconfig")
    if path is not None and not path.startswith(("/", "~/")):
        remedy = 'write it like "~/.kube/work.yaml"'
        table.fault("kubeconfig", f"{quote(path)} is no absolute path", remedy)
    named = () if path is None else (f"{KUBECONFIG}{path}",)
    return (*named, *(() if context is None else (f"--context={context}",)))


def read_own_apis(profile: TableReader) -> tuple[Granted, ...]:
    """Read every `[api.NAME]` of a profile. Faults are recorded by `profile`."""
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
    """The rules with each text in the place of its key; a rule without texts grants nothing."""
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
    """The parameters of both, None where neither lists any."""
    return profile if module is None else (*module, *(profile or ()))


def _join_clients(clients: Mapping[str, Client], on: set[str], table: TableReader) -> Client:
    """What is given always and for the options that are on; `env` and `files` replace it whole."""
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
