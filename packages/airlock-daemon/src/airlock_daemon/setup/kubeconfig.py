"""Kubernetes: clusters and users of the human's kubeconfig.

`kubectl` reads the kubeconfig and prints it as JSON, so that nothing here parses YAML. Unsupported
settings of a context, such as impersonation, are refused: ignoring them could give a request more
rights than the human's own.
"""

import base64
import binascii
import json
import os
import re
import subprocess
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec
from msgspec.structs import replace

from airlock_daemon.files import Finding
from airlock_daemon.path_text import expand_home
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.apis import find_granted
from airlock_daemon.setup.credential import CERTIFICATE, NO_JSON, Access, BadCredential
from airlock_daemon.setup.trust import Programs, find_file_problem
from airlock_daemon.setup.trusted_command import find_command_problem, find_program_problem
from airlock_modules import Fault

if TYPE_CHECKING:
    from airlock_modules.apis import Api, Client
    from airlock_modules.files.api_profile import Granted

_ANSWER_S = 15
_MAX_CA = 48_000
_FILE = "--kubeconfig="
_CONTENT = ("--flatten", "--raw")
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._~-]*)*")


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A context of a kubeconfig and its cluster: `prefix` is the path of the server's URL.

    `ca` is in PEM, "" for the system's; `namespace` is the default one.
    """

    context: str
    namespace: str
    host: str
    port: int
    prefix: str
    ca: str

    @property
    def server(self) -> str:
        """The server's URL."""
        return f"https://{self.host}:{self.port}{self.prefix}"

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The cluster of the current context, from the output of `kubectl config view --minify`.

        Raises BadCredential, whose message is a predicate.
        """
        name, context, server, _ = _read_file(data)
        if server.insecure_skip_tls_verify:
            problem = "has a cluster whose certificate is not verified, which is not done"
            raise BadCredential(problem)
        for key, value in (
            ("tls-server-name", server.tls_server_name),
            ("proxy-url", server.proxy_url),
        ):
            if value:
                raise BadCredential(f"has {key} for its cluster, which is not supported")
        host, port, prefix = _read_url(server.server)
        ca = _decode(server.certificate_authority_data)
        found = CERTIFICATE.findall(ca)
        if ca and (not found or len(ca) > _MAX_CA):
            problem = "has a certificate-authority that is none, or one of more than 48 KB"
            raise BadCredential(problem)
        namespace = context.namespace or "default"
        if not _NAMESPACE.fullmatch(namespace):
            raise BadCredential("has a namespace that is no name")
        return cls(
            context=name,
            namespace=namespace,
            host=host,
            port=port,
            prefix=prefix,
            ca="\n".join((*found, "")) if found else "",
        )

    @staticmethod
    def read_user(data: bytes) -> "Access | Plugin | str":
        """The credential of the current context's user: itself, a program, or a file's path.

        Raises BadCredential.
        """
        _, _, server, user = _read_file(data)
        if user.acts_as or user.acts_as_uid or user.acts_as_groups or user.acts_as_extra:
            raise BadCredential("acts as another user (as), which is not supported")
        if user.username or user.password or user.auth_provider is not None:
            raise BadCredential("has a user with password or auth-provider, which is not supported")
        if user.exec is not None:
            return _make_plugin(user.exec, server)
        if user.token_file:
            return user.token_file
        return Access.of_pem(
            user.token, _decode(user.client_certificate_data), _decode(user.client_key_data)
        )

    @staticmethod
    def find_problem(
        words: Sequence[str], environment: Mapping[str, str], workspaces: Sequence[str]
    ) -> tuple[str, str] | None:
        """Return why kubectl's files are not trusted, and a remedy; None if they are.

        A kubeconfig names programs that run here. `words` are the command's.
        """
        for path in _list_files(words, environment):
            problem = find_file_problem(path, workspaces)
            if problem is not None:
                return problem
        return None


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """A program that prints an ExecCredential, and its additional variables."""

    words: tuple[str, ...]
    variables: Mapping[str, str]


class _Server(msgspec.Struct, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _Context(msgspec.Struct):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _Variable(msgspec.Struct):
    name: str
    value: str


class _Exec(msgspec.Struct, rename="camel"):
    api_version: str
    command: str
    args: list[str] | None = None
    env: list[_Variable] | None = None
    interactive_mode: str = ""
    provide_cluster_info: bool = False


class _User(msgspec.Struct, rename="kebab"):
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    client_certificate: str = ""
    client_key: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    username: str = ""
    password: str = ""
    exec: _Exec | None = None
    auth_provider: Any = None
    acts_as: str = msgspec.field(default="", name="as")
    acts_as_uid: str = msgspec.field(default="", name="as-uid")
    acts_as_groups: list[str] | None = msgspec.field(default=None, name="as-groups")
    acts_as_extra: Any = msgspec.field(default=None, name="as-user-extra")


class _NamedServer(msgspec.Struct):
    name: str
    cluster: _Server


class _NamedContext(msgspec.Struct):
    name: str
    context: _Context


class _NamedUser(msgspec.Struct):
    name: str
    user: _User


class _File(msgspec.Struct, rename="kebab"):
    clusters: list[_NamedServer] | None = None
    contexts: list[_NamedContext] | None = None
    users: list[_NamedUser] | None = None
    current_context: str = ""


def settle_clusters(
    agents: Mapping[str, Agent],
    ceiling: Sequence[str],
    *,
    search_path: str,
    environment: Mapping[str, str],
    workspaces: Sequence[str],
    warnings: list[Fault],
) -> dict[str, Agent]:
    """Return the agents with hosts and rules of the clusters that their profiles name.

    If a cluster cannot be found, its agent gets no API of it, and `warnings` a finding.
    """
    seen: dict[tuple[str, ...], Cluster | tuple[str, str]] = {}
    settled = {}
    home = environment.get("HOME", "/")
    for name, agent in agents.items():
        apis = dict(agent.profile.apis)
        for module, granted in find_granted(agent, ceiling):
            api = next((each for each in granted.apis if each.is_cluster), None)
            if api is None or api.credential is None:
                continue
            words = tuple(_expand(api.credential.source.words, home))
            if words not in seen:
                seen[words] = _ask(words, search_path, environment, workspaces)
            cluster = seen[words]
            if isinstance(cluster, Cluster):
                apis[module] = _settle(granted, words, cluster)
            else:
                problem, remedy = cluster
                source = agent.profile_file
                warnings.append(Finding(source, module, problem, remedy, name="api"))
                apis[module] = replace(granted, apis=())
        settled[name] = replace(agent, profile=replace(agent.profile, apis=apis))
    return settled


def _ask(
    words: tuple[str, ...],
    search_path: str,
    environment: Mapping[str, str],
    workspaces: Sequence[str],
) -> Cluster | tuple[str, str]:
    """The cluster, or problem and remedy."""
    program = Programs(search_path).find(words[0])
    if program is None:
        return f'there is no cluster: "{words[0]}" is not on the daemon\'s PATH', "install it"
    problem = find_program_problem(program, workspaces)
    problem = problem or Cluster.find_problem(words, environment, workspaces)
    if problem is not None:
        return f"there is no cluster: {problem[0]}", problem[1]
    variables = {**environment, "PATH": search_path}
    # Without --flatten and --raw, kubectl prints the paths of the files that the kubeconfig names.
    named = _print([program, *(word for word in words[1:] if word not in _CONTENT)], variables)
    if not isinstance(named, bytes):
        return named
    try:
        problem = _find_named_problem(named, words, variables, workspaces)
        if problem is not None:
            return f"there is no cluster: {problem[0]}", problem[1]
        printed = _print([program, *words[1:]], variables)
        return Cluster.read(printed) if isinstance(printed, bytes) else printed
    except BadCredential as error:
        remedy = "name another one: context, kubeconfig"
        return f"there is no cluster: the kubeconfig {error}", remedy


def _print(words: Sequence[str], environment: Mapping[str, str]) -> bytes | tuple[str, str]:
    """kubectl's output, or problem and remedy."""
    remedy = "see what it says: kubectl config view --minify"
    try:
        done = subprocess.run(
            words,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "there is no cluster: kubectl does not answer", remedy
    if done.returncode != 0:
        return "there is no cluster: kubectl shows no such context", remedy
    return done.stdout


def _find_named_problem(
    data: bytes, words: Sequence[str], environment: Mapping[str, str], workspaces: Sequence[str]
) -> tuple[str, str] | None:
    """Return why a file or program that a kubeconfig names is not trusted. Raises BadCredential."""
    _, _, server, user = _read_file(data)
    named = (
        server.certificate_authority,
        user.client_certificate,
        user.client_key,
        user.token_file,
    )
    # A relative path starts at its own file's directory, and kubectl merges several files.
    folders = [os.path.dirname(each) for each in _list_files(words, environment)]
    for path in (os.path.join(folder, each) for folder in folders for each in named if each):
        problem = find_file_problem(path, workspaces)
        if problem is not None:
            return problem
    if user.exec is None:
        return None
    command = expand_home(user.exec.command, environment.get("HOME", "/"))
    program = Programs(environment["PATH"]).find(command)
    if program is None:
        return None
    variables = (each.value for each in user.exec.env or ())
    arguments = (*(user.exec.args or ()), *variables)
    return find_command_problem(program, arguments, workspaces)


def _settle(granted: "Granted", words: tuple[str, ...], cluster: Cluster) -> "Granted":
    from airlock_modules.files.api_profile import CONTEXTS_NAMESPACE  # noqa: PLC0415

    def place(rules: Iterable[str]) -> tuple[str, ...]:
        parts = (rule.replace(CONTEXTS_NAMESPACE, cluster.namespace).split(" ") for rule in rules)
        return tuple(f"{methods} {cluster.prefix}{path}" for methods, path in parts)

    pinned = [word for word in words if not word.startswith("--context=")]

    def settle(api: "Api") -> "Api":
        credential = api.credential
        if credential is None or not api.is_cluster:
            return api
        source = replace(credential.source, words=(*pinned, f"--context={cluster.context}"))
        return replace(
            api,
            hosts=(cluster.host,),
            ports=(cluster.port,),
            ca=cluster.ca or None,
            credential=replace(credential, source=source),
            allow=place(api.allow),
            deny=place(api.deny),
            secret=place(api.secret),
            upgrade=place(api.upgrade),
        )

    apis = tuple(map(settle, granted.apis))
    return replace(granted, apis=apis, client=_settle_client(granted.client, apis, cluster))


def _settle_client(client: "Client", apis: "Iterable[Api]", cluster: Cluster) -> "Client":
    begin = f"GET {cluster.prefix}/api/v1/namespaces/"
    named = [
        rule.removeprefix(begin) for api in apis for rule in api.allow if rule.startswith(begin)
    ]
    plain = [name for name in named if _NAMESPACE.fullmatch(name)]
    namespace = cluster.namespace
    if namespace not in plain and plain and "*" not in named:
        namespace = plain[0]

    def put(text: str) -> str:
        return text.replace("{server}", cluster.server).replace("{namespace}", namespace)

    return replace(
        client,
        env={name: put(text) for name, text in client.env.items()},
        files={path: put(text) for path, text in client.files.items()},
    )


def _read_file(data: bytes) -> tuple[str, _Context, _Server, _User]:
    """The current context of a kubeconfig in JSON: its name, itself, its cluster and its user."""
    try:
        found = msgspec.json.decode(data, type=_File)
    except NO_JSON:
        raise BadCredential("is no kubeconfig in JSON") from None
    name = found.current_context
    contexts = {each.name: each.context for each in found.contexts or ()}
    if name not in contexts:
        raise BadCredential("has no current context")
    context = contexts[name]
    servers = {each.name: each.cluster for each in found.clusters or ()}
    users = {each.name: each.user for each in found.users or ()}
    if context.cluster not in servers:
        raise BadCredential("has no cluster for its context")
    return name, context, servers[context.cluster], users.get(context.user, _User())


def _read_url(text: str) -> tuple[str, int, str]:
    from airlock_modules.apis.patterns import is_host_pattern  # noqa: PLC0415

    try:
        url = urllib.parse.urlsplit(text)
        host, port = (url.hostname or "").lower(), url.port or 443
    except ValueError:
        raise BadCredential("has a server that is no URL") from None
    prefix = url.path.rstrip("/")
    plain = not (url.query or url.fragment or url.username or url.password)
    if url.scheme != "https" or not plain or not _PREFIX.fullmatch(prefix):
        raise BadCredential("has a server that is no plain URL with https")
    if "*" in host or not is_host_pattern(host):
        raise BadCredential("has a server at no name and no IPv4 address")
    return host, port, prefix


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise BadCredential("has a certificate or key that is not PEM in base64") from None


def _make_plugin(plugin: _Exec, server: _Server) -> Plugin:
    if plugin.interactive_mode == "Always":
        raise BadCredential("runs a program that wants a terminal (interactiveMode)")
    info = Access.describe_exec(plugin.api_version)
    if plugin.provide_cluster_info:
        shown = {
            "server": server.server,
            "certificate-authority-data": server.certificate_authority_data,
        }
        info["spec"] = {"interactive": False, "cluster": shown}
    variables = {each.name: each.value for each in plugin.env or ()}
    return Plugin(
        words=(plugin.command, *(plugin.args or ())),
        variables={**variables, "KUBERNETES_EXEC_INFO": json.dumps(info)},
    )


def _list_files(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The files that kubectl reads with these words and variables."""
    named = [word.removeprefix(_FILE) for word in words if word.startswith(_FILE)]
    variable = [each for each in environment.get("KUBECONFIG", "").split(os.pathsep) if each]
    home = os.path.join(environment.get("HOME", "/"), ".kube/config")
    return [os.path.abspath(each) for each in named or variable or [home]]


def _expand(words: Iterable[str], home: str) -> Iterator[str]:
    """Expand `~/` in the path of a kubeconfig, as no shell does it."""
    for word in words:
        path = word.removeprefix(_FILE)
        yield word if path == word else f"{_FILE}{expand_home(path, home)}"
