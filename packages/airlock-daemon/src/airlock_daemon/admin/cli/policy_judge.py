"""Judges sampled operations by the policy of one agent, with what judges them for the daemon."""

import itertools
from collections.abc import Sequence
from typing import Literal

import msgspec

from airlock_daemon.admin.cli.compared_sides import Key
from airlock_daemon.admin.cli.known_apis import judge_operation
from airlock_daemon.admin.cli.sampled_operations import Question, compile_action
from airlock_daemon.admin.cli.verdict import GitCall, Verdict, judge, resolve
from airlock_daemon.setup.generation import Generation
from airlock_modules import Decision, evaluate
from airlock_modules.apis import Api, ApiCall, GraphQlField
from airlock_modules.files.approvals import list_tool_forms
from airlock_modules.operation import Operation
from airlock_wire import quote

State = Literal["allowed", "asked", "depends", "refused"]

RULES = ("allow", "deny", "secret", "upgrade", "forms")
"""The keys of an API whose values are operations."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy decides on a question, and what decides it.

    That "depends" which is allowed as far as the files tell: the daemon also looks at the address
    of a host, or asks the human's git for their own. What decides are `texts` of the files, the
    rule `builtin` of a built-in module, or the values of `keys` as a whole.
    """

    state: State
    operation: Operation | None = None
    texts: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    builtin: str = ""


class Judge:
    """Decides questions by the policy of one agent; an unregistered agent is refused everything."""

    def __init__(self, generation: Generation | None) -> None:
        self._generation = generation

    def lets(self, question: Question) -> bool:
        """Whether the policy does not refuse it."""
        return self.judge(question).state != "refused"

    def judge(self, question: Question) -> Outcome:
        """The decision on a question."""
        generation, words = self._generation, question.words
        if generation is None:
            return Outcome(state="refused")
        if question.kind == "run":
            return _judge_run(generation, *words)
        if question.kind == "api":
            return _judge_api(generation, *words)
        if question.kind == "aws":
            return _judge_aws(generation, *words)
        command = "git-sign" if question.kind == "sign" else question.kind
        return _judge_broker(generation, command, words)


def _ask(pattern: str, operation: Operation | None) -> Outcome:
    keys = (("approve", "require"),)
    return Outcome(state="asked", operation=operation, texts=(pattern,), keys=keys)


_COMMANDS: tuple[Key, ...] = (("commands",), ("commands", "enable"))


def _judge_run(generation: Generation, command: str, *args: str) -> Outcome:
    decision = evaluate(generation.grant, command, args, is_explained=False)
    module = generation.grant.modules.get(command)
    run = () if module is not None and module.broker else ("run",)
    operation = Operation((*run, command, *args))
    state: State = "allowed" if decision.allowed else "refused"
    if decision.reading is None or module is None:
        return Outcome(state=state, operation=operation, keys=_COMMANDS)
    forms = list_tool_forms((command, *args), module) if decision.allowed else ()
    if (asked := generation.agent.profile.find_approval(forms)) is not None:
        return _ask(asked, operation)
    rule = decision.rule
    is_own = rule is not None and module.builtin and decision.layer != "profile"
    tables = (("deny", command), ("deny", "args"), ("allow", "args"), ("allow", "commands"))
    return Outcome(
        state=state,
        operation=operation,
        texts=(command,) if rule is None and decision.allowed else tuple(filter(None, [rule])),
        keys=(*(() if rule is None and decision.allowed else tables), *_COMMANDS),
        builtin=f"built-in {command} {quote(rule)}" if rule is not None and is_own else "",
    )


def _judge_broker(generation: Generation, command: str, words: Sequence[str]) -> Outcome:
    command, args, call = resolve(generation, command, words)
    decision = evaluate(generation.grant, command, args, is_explained=False)
    verdict = judge(generation, decision, command, args, call=call)
    profile, said = generation.agent.profile, verdict.broker or ""
    if not verdict.allowed:
        return _describe_refused(decision, verdict, command)
    if verdict.asked is not None:
        return _ask(verdict.asked, verdict.operation)
    if command == "git-sign":
        # Only the daemon can ask for the key.
        is_known = verdict.undecided == ("the key",)
        keys: tuple[Key, ...] = (("sign", "emails"), ("sign", "authors"), ("sign",), *_COMMANDS)
        state: State = "allowed" if is_known else "depends"
        return Outcome(state=state, operation=verdict.operation, keys=keys)
    named = [each.text for each in (*profile.git.push, *profile.git.fetch)]
    named += [each.text for each in profile.ssh.hosts]
    granting = [text for text in dict.fromkeys(named) if quote(text, limit=None) in said][:1]
    refs = _list_refs(call)
    matching = (each for each in profile.git.refs if any(map(each.expression.fullmatch, refs)))
    return Outcome(
        state="depends" if verdict.undecided else "allowed",
        operation=verdict.operation,
        texts=(*granting, *(each.text for each in itertools.islice(matching, 1))),
        keys=(("git", "push"), ("git", "fetch"), ("git", "refs"), ("ssh", "hosts"), *_COMMANDS),
    )


def _list_refs(call: GitCall | None) -> list[str]:
    updates = () if call is None or call.push is None else call.push.updates
    return [update.ref for update in updates]


def _describe_refused(decision: Decision, verdict: Verdict, command: str) -> Outcome:
    rule = verdict.rule or ""
    table, _, key = rule.rpartition(".")
    keys: tuple[Key, ...] = ((table or "git", key), ("git", "push"), ("git",))
    if rule in ("", "commands"):
        keys = _COMMANDS
    elif command == "ssh":
        keys = (("ssh", "hosts"), ("ssh",))
    elif command == "git-sign":
        keys = (("sign", key), ("sign", "emails"), ("sign",))
    is_module = not decision.allowed and decision.layer == "module"
    return Outcome(
        state="refused",
        operation=verdict.operation,
        texts=(rule,),
        keys=keys,
        builtin=f"module {command} {quote(rule)}" if is_module and rule else "",
    )


def _judge_api(generation: Generation, name: str, host: str, method: str, *rest: str) -> Outcome:
    apis = [api for api in generation.apis.apis if not host or _serves(api, host)]
    api = next((each for each in apis if each.name == name), next(iter(apis), None))
    if api is None:
        return Outcome(state="refused", keys=((name, "hosts"), ("commands",)))
    if method != "graphql":
        asked = ApiCall(method=method, path=rest[0])
        words: tuple[str, ...] = (api.module, method, rest[0])
    else:
        kind, field, *named = rest
        owner, _, repository = named[0].partition("/") if named else ("", "", "")
        about = {"owner": owner, "name": repository} if named else {}
        fields = (GraphQlField("query" if kind == "query" else "mutation", field, about),)
        asked = ApiCall(method="POST", path=api.graphql_path, graphql=fields)
        words = (api.module, "graphql", kind, field, *named)
    judged = api.judge(asked)
    return _describe_judged(generation, api, judged.refusal, judged.rule, words)


def _judge_aws(generation: Generation, name: str, action: str, region: str, *rest: str) -> Outcome:
    api = generation.apis.find(name)
    if api is None:
        return Outcome(state="refused", keys=((name,), ("commands",)))
    verdict = judge_operation((api,), name, (action, region, *rest))
    judged, rule = verdict.judged, verdict.judged.rule
    if judged.refusal is None and api.aws is not None:
        granting = (each for each in api.aws.allow if compile_action(each).fullmatch(action))
        rule = next(granting, rule)
    return _describe_judged(generation, api, judged.refusal, rule, verdict.operation.words)


def _serves(api: Api, host: str) -> bool:
    name, _, port = host.partition(":")
    return api.serves(name, int(port or 443))


def _describe_judged(
    generation: Generation, api: Api, refusal: str | None, rule: str, words: tuple[str, ...]
) -> Outcome:
    _, *rest = words
    forms = () if refusal is not None else [(name, *rest) for name in api.names]
    if (asked := generation.agent.profile.find_approval(forms)) is not None:
        return _ask(asked, Operation(words))
    table = tuple(api.module.split(".", 1)) if api.module.startswith("api.") else (api.module,)
    keys = [(*table, rule)] if " " not in rule else []
    keys += [(*table, key) for key in ("deny" if refusal else "allow", *RULES)]
    is_rule = " " in rule or ":" in rule
    return Outcome(
        state="allowed" if refusal is None else "refused",
        operation=Operation(words),
        texts=(rule,),
        keys=(*keys, *(("api", key) for key in RULES)),
        builtin=f"built-in {api.module} {quote(rule)}" if is_rule else "",
    )
