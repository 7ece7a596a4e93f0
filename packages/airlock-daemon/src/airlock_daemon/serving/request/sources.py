"""API credentials, from the host's programs, files and variables, and from `login`.

A credential is fetched when a request needs it, once for all requests that wait for it. It is
forgotten five minutes after its last use, when the API rejects it, and after a reload. A file is
reread after FRESH_S, so that a new value is used at once.
"""

import datetime as dt
import itertools
import json
import math
import os
import shlex
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated

import msgspec
import trio

from airlock_daemon.boundary.command import CommandLine
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AND_RELOAD, AirlockError, Failed
from airlock_daemon.files import read_bounded
from airlock_daemon.path_text import expand_home
from airlock_daemon.serving.request.state import AgentState, DaemonState, log
from airlock_daemon.setup.credential import Access, BadCredential
from airlock_daemon.setup.generation import Generation, State, find_file_problem
from airlock_daemon.threads import run_in_thread
from airlock_wire import quote

if TYPE_CHECKING:
    from airlock_modules.apis import Api, Credential, Source

KEPT_S = 300.0
"""Seconds that an unused credential is cached."""
ANSWER_S = 15.0
"""The timeout of a command, in seconds."""
SETTLED_S = 10.0
"""A credential younger than this many seconds is not refetched, even if rejected or near expiry."""
RENEWED_S = 60.0
"""Seconds before its expiry at which a credential is refetched."""
FRESH_S = 2.0
"""Seconds before a file is read, or a command is run, again, also after a failure."""

_LOGINS = {
    "aws": "aws sso login",
    "az": "az login",
    "gcloud": "gcloud auth login",
    "gh": "gh auth login",
    "gke-gcloud-auth-plugin": "gcloud auth login",
    "kubelogin": "az login",
    "npm": "npm login",
    "vault": "vault login",
}
"""The login commands of programs that print a credential."""


_EXPORT = ("configure", "export-credentials", "--format", "process")
_IDENTIFY = ("sts", "get-caller-identity", "--output", "json")


class Secret(msgspec.Struct, frozen=True):
    """A credential; `version` changes with it.

    `certificate` is PEM with its key, to present in TLS; `value` is "" if there is nothing else.
    """

    value: str
    version: int
    certificate: str = ""

    def __repr__(self) -> str:
        """Omit the value, which no message may show."""
        return f"Secret(version={self.version})"


class _Fetched(msgspec.Struct, frozen=True):
    """A credential fetched `at` a time, for an API of a generation."""

    secret: Secret
    generation: Generation
    at: float
    # When it expires.
    until: float

    def is_good(self, generation: Generation, credential: "Credential") -> bool:
        """Whether it may be used without fetching it again."""
        # Near its expiry, each request would otherwise refetch it, which may run a command.
        until = max(self.until - RENEWED_S, min(self.at + SETTLED_S, self.until), self.at + FRESH_S)
        if credential.source.kind in ("file", "stored"):
            until = min(self.at + FRESH_S, until)
        return self.generation is generation and trio.current_time() < until


class _Failure(msgspec.Struct, frozen=True):
    """Why a generation had no credential at a time, and whether a command ran.

    `error` is a new one: the original's traceback would keep a source's output in memory.
    """

    error: Failed
    generation: Generation
    at: float
    has_run: bool

    def holds(self, generation: Generation, began: float) -> bool:
        """Whether a request that `began` then is refused for the same reason."""
        is_early = self.has_run and trio.current_time() < self.at + FRESH_S
        return self.at >= began or (is_early and self.generation is generation)


class _Kept:
    """The cached credential of an agent's API; the holder of `turn` fetches it."""

    def __init__(self) -> None:
        self.turn = trio.Lock()
        self.used = trio.current_time()
        self.fetched: _Fetched | None = None
        self.failure: _Failure | None = None
        # When its command last ran.
        self.ran = -math.inf
        # Why the account of its keys is not known, as last logged.
        self.unnamed = ""


class Sources:
    """The credentials of a daemon's agents. Run `forget_unused` alongside."""

    def __init__(self, shared: DaemonState, state: State) -> None:
        """`state` is where `airlock login` stores credentials."""
        self._shared = shared
        self._state = state
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._versions = itertools.count(1)
        self._is_used = trio.Event()

    async def get(self, agent: AgentState, api: "Api") -> Secret:
        """The credential of an API.

        Raises Failed if there is none now, with a remedy for a person on the host.
        """
        found = self.find(agent, api)
        if found is not None:
            return found
        began, credential = trio.current_time(), api.credential
        if credential is None:
            raise Failed(
                f"the API {api.name} has no credential",
                hint=f"a person on the host can name one in the module {api.module}",
            )
        kept = self._kept.setdefault((agent.generation.agent.name, api.name), _Kept())
        self._is_used.set()
        async with kept.turn:
            fetched = await self._fetch(kept, agent, api, credential, began)
        kept.used = trio.current_time()
        return fetched.secret

    def find(self, agent: AgentState, api: "Api") -> Secret | None:
        """The cached credential of an API, None if it must be fetched."""
        kept = self._kept.get((agent.generation.agent.name, api.name))
        if kept is None or kept.fetched is None or api.credential is None:
            return None
        if not kept.fetched.is_good(agent.generation, api.credential):
            return None
        kept.used = trio.current_time()
        return kept.fetched.secret

    def spend(self, agent: AgentState, api: str, version: int) -> None:
        """Forget an API's credential that it rejected, if `version` is still the cached one."""
        kept = self._kept.get((agent.generation.agent.name, api))
        fetched = None if kept is None else kept.fetched
        if kept is None or fetched is None or fetched.secret.version != version:
            return
        # Otherwise requests that fail for another reason would each run a command.
        if fetched.at + SETTLED_S <= trio.current_time():
            kept.fetched = None

    async def forget_unused(self) -> None:
        """Forget unused credentials after KEPT_S, until cancelled."""
        while True:
            await self._is_used.wait()
            now = trio.current_time()
            for key, kept in [*self._kept.items()]:
                if kept.used + KEPT_S <= now and not kept.turn.locked():
                    del self._kept[key]
            if self._kept:
                first = min(kept.used for kept in self._kept.values())
                await trio.sleep_until(max(first + KEPT_S, now + 1))
            else:
                self._is_used = trio.Event()

    async def _fetch(
        self, kept: _Kept, agent: AgentState, api: "Api", credential: "Credential", began: float
    ) -> _Fetched:
        """Fetch the credential, unless another request has since this one `began`."""
        name, generation, before = api.name, agent.generation, kept.fetched
        if before is not None and (
            before.is_good(generation, credential)
            or (before.generation is generation and before.at > began)
        ):
            return before
        if kept.failure is not None and kept.failure.holds(generation, began):
            raise _explain(name, kept.failure.error)
        asked = trio.current_time()
        try:
            access = await self._read(kept, agent, api, credential)
        except AirlockError as error:
            failure = Failed(error.message, hint=error.hint)
            kept.fetched, now = None, trio.current_time()
            kept.failure = _Failure(failure, generation, now, has_run=kept.ran >= asked)
            raise _explain(name, failure) from None
        secret = before.secret if before is not None else None
        if secret is None or (secret.value, secret.certificate) != (
            access.token,
            access.certificate,
        ):
            secret = Secret(access.token, next(self._versions), access.certificate)
        now = trio.current_time()
        kept.fetched = _Fetched(secret, generation, now, now + access.lasts_s)
        kept.failure = None
        return kept.fetched

    async def _read(
        self, kept: _Kept, agent: AgentState, api: "Api", credential: "Credential"
    ) -> Access:
        """Read the credential from its source. Raises Failed."""
        source = credential.source
        advice = "a person on the host can "
        match source.kind:
            case "command":
                origin = quote(shlex.join(source.words))
                advice += _advise(source.words)
                data = await self._run_source(kept, agent, source, advice)
            case "file":
                origin = quote(source.words[0])
                advice += f"mend that file, or the module of {api.name}"
                read = partial(self._read_file, agent.generation, source.words[0], advice)
                data = await run_in_thread(read, limiter=agent.lookups)
            case "env":
                origin = f"variable {source.words[0]} of the daemon"
                advice += "set it, and start the daemon again"
                variable = self._shared.environment.get(source.words[0])
                if variable is None:
                    raise Failed(f"there is no {origin}", hint=advice)
                data = os.fsencode(variable)
            case "stored":
                origin = f"what is stored as {source.words[0]}"
                advice += f"store it: airlock login {source.words[0]}"
                name = agent.generation.agent.name
                find = partial(self._state.secrets.find, source.words[0], name)
                found = await run_in_thread(find, limiter=agent.lookups)
                if found is None:
                    raise Failed("nothing is stored", hint=advice)
                data = found.encode()
        try:
            if source.format == "kubeconfig":
                return await self._use_kubeconfig(kept, agent, api, data)
            access = _interpret(data, credential)
        except BadCredential as error:
            raise Failed(f"{origin} {error}", hint=advice) from None
        if api.aws is not None and api.aws.needs_account and source.words[1:5] == _EXPORT:
            return await self._name_account(kept, agent, source, access)
        return access

    async def _name_account(
        self, kept: _Kept, agent: AgentState, source: "Source", access: Access
    ) -> Access:
        """AWS keys with the number of their account, which most versions of `aws` do not export.

        Without it if that cannot be learned now; they are then fetched again soon.
        """
        keys = msgspec.json.decode(access.token)
        if keys["account"]:
            return access
        words = (source.words[0], *_IDENTIFY, *source.words[5:])
        spelled, problem = quote(shlex.join(words)), ""
        try:
            printed = await self._run(kept, agent, words, spelled, "", {})
            keys["account"] = msgspec.json.decode(printed, type=_Identity).account
        except Failed as error:
            problem = error.message
        except (msgspec.MsgspecError, UnicodeDecodeError):
            problem = f"{spelled} printed no account"
        if problem and problem != kept.unnamed:
            name = agent.generation.agent.name
            log.warning(
                "agent %s: the account of its AWS keys is not known: %s; write `[aws] account`%s",
                *(name, problem, AND_RELOAD),
            )
        kept.unnamed = problem
        lasts_s = min(access.lasts_s, 2 * RENEWED_S) if problem else access.lasts_s
        return Access(token=msgspec.json.encode(keys).decode(), lasts_s=lasts_s)

    async def _use_kubeconfig(
        self, kept: _Kept, agent: AgentState, api: "Api", data: bytes
    ) -> Access:
        """Use a kubeconfig's user, in JSON. Raises BadCredential and Failed."""
        from airlock_daemon.setup.kubeconfig import Cluster  # noqa: PLC0415 - of clusters alone

        cluster = Cluster.read(data)
        if ((cluster.host,), (cluster.port,)) != (api.hosts, api.ports):
            # Its credential is for another host now.
            raise Failed(
                f"the kubeconfig names another server for {cluster.context} than when it was read",
                hint="a person on the host can run: airlock reload",
            )
        user = Cluster.read_user(data)
        if isinstance(user, Access):
            return user
        advice = "a person on the host can "
        if not isinstance(user, str):
            origin = quote(shlex.join(user.words))
            advice += _advise(user.words)
            printed = await self._run(kept, agent, user.words, origin, advice, user.variables)
            try:
                return Access.of_exec_credential(printed, time.time())
            except BadCredential as error:
                raise Failed(f"{origin} {error}", hint=advice) from None
        advice += "mend tokenFile in the kubeconfig"
        read = partial(self._read_file, agent.generation, user, advice)
        access = Access.of_text(await run_in_thread(read, limiter=agent.lookups))
        return msgspec.structs.replace(access, lasts_s=FRESH_S)

    async def _run_source(
        self, kept: _Kept, agent: AgentState, source: "Source", advice: str
    ) -> bytes:
        """Run a source's command and return its stdout. Raises Failed."""
        words, variables = source.words, dict[str, str]()
        if source.format == "kubeconfig":
            from airlock_daemon.setup.kubeconfig import Cluster  # noqa: PLC0415 - as above

            environment = self._shared.environment
            problem = Cluster.find_problem(words, environment, agent.generation.workspaces)
            if problem is not None:
                raise Failed(problem[0], hint=f"a person on the host can do this: {problem[1]}")
        elif source.format == "exec-credential":
            variables["KUBERNETES_EXEC_INFO"] = json.dumps(Access.describe_exec())
        return await self._run(kept, agent, words, quote(shlex.join(words)), advice, variables)

    async def _run(
        self,
        kept: _Kept,
        agent: AgentState,
        words: tuple[str, ...],
        spelled: str,
        advice: str,
        more: Mapping[str, str],
    ) -> bytes:
        generation, variables = agent.generation, self._shared.environment
        program = expand_home(words[0], variables.get("HOME", "/"))
        found = generation.programs.demand(program)
        arguments = (*words[1:], *more.values())
        look = partial(generation.find_command_problem, found, arguments)
        problem = await run_in_thread(look, limiter=agent.lookups)
        if problem is not None:
            said = f"{spelled} is not run: {problem[0]}"
            raise Failed(said, hint=f"a person on the host can do this: {problem[1]}")
        withhold = partial(_withhold, generation)
        environment = {
            **variables,
            **await run_in_thread(withhold, limiter=agent.lookups),
            **more,
            "PATH": generation.programs.path,
        }
        directory = Workspace.make_empty(None)
        try:
            line = CommandLine(found, words, environment, directory.descriptor)
            kept.ran = trio.current_time()
            status, printed = await agent.run_program(line, seconds=ANSWER_S)
        except Failed as error:
            raise Failed(error.message, hint=advice) from None
        finally:
            await directory.release(agent.removals)
        if status != 0:
            raise Failed(f"{spelled} ended with status {status}", hint=advice)
        return printed

    def _read_file(self, generation: Generation, named: str, advice: str) -> bytes:
        """Read a file that only the daemon's user can write. Raises Failed."""
        path = expand_home(named, self._shared.environment.get("HOME", "/"))
        conflict = generation.reserved.private.conflict(os.path.realpath(path))
        if conflict is not None:
            raise Failed(f"{quote(named)} is not read: {conflict}", hint=advice)
        untrusted = find_file_problem(path, generation.workspaces)
        if untrusted is not None:
            raise Failed(untrusted[0], hint=advice)
        try:
            content = read_bounded(path, limit=self._state.secrets.MAX_LENGTH)
        except OSError as error:
            problem = f"{quote(named)} cannot be read: {error.strerror}"
            raise Failed(problem, hint=advice) from None
        if content is None:
            raise Failed(f"{quote(named)} is not a file of a credential's size", hint=advice)
        return content


def _interpret(data: bytes, credential: "Credential") -> Access:
    """Parse a source's output by its format. Raises BadCredential."""
    match credential.source.format:
        case "aws":
            keys, lasts_s = _read_aws_keys(data, time.time())
            return Access(token=keys, lasts_s=lasts_s)
        case "exec-credential":
            access = Access.of_exec_credential(data, time.time())
        case _ if credential.kind == "client-certificate":
            access = Access.of_certificate(data)
        case _:
            access = Access.of_text(data)
    if credential.kind == "header" and not access.token.isascii():
        raise BadCredential("has characters that no header may have")
    if credential.kind == "client-certificate" and not access.certificate:
        raise BadCredential("has no certificate")
    return access


class _Identity(msgspec.Struct, rename="pascal"):
    """The output of `aws sts get-caller-identity --output json`."""

    account: Annotated[str, msgspec.Meta(pattern="^[0-9]{12}$")]


class _Exported(msgspec.Struct, rename="pascal"):
    """The output of `aws configure export-credentials --format process`."""

    version: int
    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    expiration: dt.datetime | None = None
    account_id: str = ""


def _read_aws_keys(data: bytes, now: float) -> tuple[str, float]:
    """AWS keys, as one line of JSON, and their lifetime in seconds.

    Raises BadCredential.
    """
    try:
        found = msgspec.json.decode(data, type=_Exported)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadCredential("is not what aws configure export-credentials prints") from None
    keys = {
        "id": found.access_key_id,
        "secret": found.secret_access_key,
        "token": found.session_token,
        "account": found.account_id,
    }
    texts = keys.values()
    if not keys["id"] or not keys["secret"] or not all(each.isascii() for each in texts):
        raise BadCredential("has no keys in it")
    if not "".join(texts).isprintable():
        raise BadCredential("has control characters in it")
    lasts_s = math.inf
    if found.expiration is not None:
        lasts_s = found.expiration.timestamp() - now
        if lasts_s <= 0:
            raise BadCredential("has ended")
    return msgspec.json.encode(keys).decode(), lasts_s


def _withhold(generation: Generation) -> dict[str, str]:
    """The profile's variables, without those that name a file which an agent can write.

    A source's command would read such an `AWS_CONFIG_FILE` with the human's credentials.
    """
    return {
        name: value
        for name, value in generation.agent.profile.env.items()
        if not generation.names_written(value)
    }


def _advise(words: tuple[str, ...]) -> str:
    login = _LOGINS.get(os.path.basename(words[0]))
    if login is not None:
        named = words[words.index("--profile") :] if "--profile" in words else ()
        return f"log in, as the user of the daemon: {shlex.join((*login.split(), *named))}"
    return f"find out why, as the user of the daemon: {shlex.join(words)}"


def _explain(name: str, error: AirlockError) -> Failed:
    return Failed(f"there is no credential for {name} now: {error.message}", hint=error.hint)
