"""Decides on an API operation by its words, without a request."""

import re
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.generation import Generation
from airlock_modules import Step
from airlock_modules.apis import Api, ApiCall, BadHead, GraphQlField, read_head
from airlock_modules.apis import Verdict as Judged
from airlock_modules.apis.aws import Call, Grant
from airlock_modules.operation import Operation
from airlock_wire import quote

_URL = re.compile(
    r"https://(?P<host>[^/?#:@\[\]]+|\[[^]]*\])(?::(?P<port>[0-9]{1,5}))?(?P<rest>/.*)?", re.DOTALL
)
_MUTATION = "graphql mutation NAME"
_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9]+")
_REGION = re.compile(r"[a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2}")
_BODIES = "a GraphQL request is judged by its body, of which only a mutation can be named here"


class ApiVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The decision of an agent's rules on one operation, and the API that it is for.

    `forms` are all operations that it may amount to, `asked` is the pattern of [approve] by which a
    person has to approve one. `others` are the decisions of other APIs that the same words may be
    for.
    """

    operation: Operation
    api: Api
    judged: Judged
    forms: tuple[tuple[str, ...], ...] = ()
    asked: str | None = None
    others: tuple["ApiVerdict", ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The layers that were evaluated, as for a command; of each API that it may be for."""
        api, judged = self.api, self.judged
        said = f"rule {quote(judged.rule)}" if judged.refusal is None else judged.refusal
        return (
            Step("profile", "passed", f"grants {api.name}: {describe_api(api)}"),
            Step("api", "passed" if judged.refusal is None else "refused", said),
            *(step for other in self.others for step in other.steps),
        )

    def dump(self) -> dict[str, object]:
        """The verdict as JSON data."""
        refusal = self.judged.refusal
        return {
            "decision": {
                "allowed": refusal is None,
                "layer": None if refusal is None else "broker",
                "rule": self.judged.rule,
                "message": refusal or "",
                "hint": self.judged.hint or None,
                "steps": msgspec.to_builtins(self.steps),
            },
            "operation": self.operation.line,
            "asked": self.asked if refusal is None else None,
            "api": self.api.name,
        }


def find_operation(generation: Generation, command: str, words: Sequence[str]) -> ApiVerdict | None:
    """Judge `words` if they are an operation of the agent's APIs that `command` refers to.

    None for others. Raises AirlockError as `judge_operation` does.
    """
    module = generation.grant.modules.get(command)
    apis = find_named(generation, command)
    has_command = module is not None and module.has_command
    if not apis or (has_command and not is_operation(apis, words)):
        return None
    verdict = judge_operation(apis, command, words)
    return replace(verdict, asked=generation.agent.profile.find_approval(verdict.forms))


def find_named(generation: Generation, name: str) -> tuple[Api, ...]:
    """The agent's APIs that `name` refers to: a module's, or one of them.

    An [api.NAME] of the profile may be called NAME.
    """
    return tuple(api for api in generation.apis.apis if name in api.names)


def is_operation(apis: Sequence[Api], words: Sequence[str]) -> bool:
    """Whether words are an operation of one of `apis`, rather than arguments of the tool."""
    if any(api.aws is not None for api in apis):
        return bool(words) and _ACTION.fullmatch(words[0]) is not None
    if len(words) == 2 and words[0].isupper():
        return words[1].startswith(("/", "https://"))
    return bool(words) and words[0] == "graphql"


def judge_operation(apis: Sequence[Api], name: str, words: Sequence[str]) -> ApiVerdict:
    """Judge an operation of one of `apis`, of a module called `name`.

    A path without a host may be any API's: the first one that allows it decides, and the verdict
    has those of the others. Raises AirlockError for words that are no operation, and for a URL of
    another host.
    """
    cloud = next((api for api in apis if api.aws is not None), None)
    if cloud is not None:
        return _judge_aws(cloud, words)
    if words and words[0] == "graphql":
        return _judge_graphql(apis, name, words)
    if len(words) != 2:
        raise _refuse(name)
    method, target = words
    if not target.startswith("/"):
        apis, target = _find_host(apis, name, target)
    judged = [_judge(api, name, method, target) for api in apis]
    judged.sort(key=lambda each: each.judged.refusal is not None)
    return replace(judged[0], others=tuple(judged[1:]))


def _judge_aws(api: Api, words: Sequence[str]) -> ApiVerdict:
    """Judge SERVICE:OPERATION [REGION] [BUCKET[/KEY] or ROLE]; default is the first region."""
    from airlock_modules.apis.aws.operations import load_table  # noqa: PLC0415 - 10 MB large

    action, *rest = words or [""]
    found = load_table().find_action(action)
    regions = api.aws.regions if api.aws is not None else ()
    region = rest.pop(0) if rest and _REGION.fullmatch(rest[0]) else next(iter(regions), "")
    if found is None or len(rest) > 1:
        what = quote(action) if found is None else " ".join(map(quote, words))
        raise AirlockError(
            f"{what} is no operation of AWS that is known here",
            hint="write the service as in IAM, the operation as in the API, a region, and a bucket "
            f"or role: airlock test AGENT {api.module} s3:GetObject eu-west-1 BUCKET/KEY",
        )
    operation, is_global = found
    named = rest[0] if rest else None
    bucket, _, key = (named or "").partition("/")
    is_role = named is not None and named.startswith("arn:")
    call = Call(
        operations=(operation,),
        region=region,
        is_global=is_global,
        bucket=None if named is None or is_role else bucket,
        key="" if is_role else key,
        role=named if is_role else None,
    )
    return _decide(api, ApiCall(method="POST", path="/", aws=call))


def _find_host(apis: Sequence[Api], name: str, target: str) -> tuple[Sequence[Api], str]:
    """Those of `apis` at the host of a URL, and the URL's path."""
    found = _URL.fullmatch(target)
    if found is None:
        raise _refuse(name)
    host, port = found["host"], int(found["port"] or 443)
    there = [api for api in apis if api.serves(host, port)]
    if not there:
        raise AirlockError(
            f"{quote(f'{host}:{port}')} is no host of {name}",
            hint="write one of those that airlock profile show tells, or the path alone",
        )
    return there, found["rest"] or "/"


def _judge(api: Api, name: str, method: str, target: str) -> ApiVerdict:
    host = api.hosts[0]
    lines = (f"{method} {target} HTTP/1.1", f"host: {host}", "", "")
    raw = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    try:
        head = read_head(raw, host, loose_paths=api.loose_paths)
    except BadHead as error:
        judged = Judged(f"the request is refused: {error}", "head", "send it in its plain form")
        return ApiVerdict(operation=Operation((api.module, method, target)), api=api, judged=judged)
    if api.is_graphql(method, head.path):
        raise AirlockError(_BODIES, hint=f"write: airlock test AGENT {name} {_MUTATION}")
    return _decide(api, ApiCall(method=method, path=head.path, query_names=head.query_names))


def _judge_graphql(apis: Sequence[Api], name: str, words: Sequence[str]) -> ApiVerdict:
    api = next((each for each in apis if each.mutations is not None), None)
    if api is None:
        raise _refuse(name)
    if len(words) != 3 or words[1] != "mutation":
        raise AirlockError(_BODIES, hint=f"write: airlock test AGENT {name} {_MUTATION}")
    fields = (GraphQlField("mutation", words[2]),)
    return _decide(api, ApiCall(method="POST", path=api.graphql_path, graphql=fields))


def _decide(api: Api, call: ApiCall) -> ApiVerdict:
    operation = Operation((api.module, *call.words))
    forms = tuple(api.list_operations(call))
    return ApiVerdict(operation=operation, api=api, judged=api.judge(call), forms=forms)


def _refuse(name: str) -> AirlockError:
    return AirlockError(
        f"this is no operation of {name}",
        hint=f"write a method, and a path or URL: airlock test AGENT {name} GET /",
    )


def describe_api(api: Api) -> str:
    """One line of `profile show` about an API."""
    if api.aws is not None:
        return _describe_aws(api.aws)
    hosts = ", ".join(api.hosts)
    ports = "" if api.ports == (443,) else f" ports {', '.join(map(str, api.ports))}"
    credential = "no credential"
    if api.credential is not None:
        source = api.credential.source
        credential = f"credential of {source.kind} {' '.join(source.words)}"
    bound = (
        "" if api.repositories is None else f"; {', '.join(api.repositories) or 'no repository'}"
    )
    return f"{hosts}{ports}; {credential}; {len(api.allow)} rules{bound}"


def _describe_aws(grant: Grant) -> str:
    regions = ", ".join((*grant.regions, *(["global services"] if grant.has_global else [])))
    place = "AWS" if grant.endpoint is None else grant.endpoint
    buckets = ", ".join(grant.buckets) or "no bucket"
    rules = len(grant.allow) + len(grant.deny)
    profile = grant.profile or "no profile"
    return f"{place} as {profile} in {regions or 'no region'}; {buckets}; {rules} rules"
