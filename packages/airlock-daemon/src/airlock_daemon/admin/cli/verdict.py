"""Predicts the daemon's decision on a request from its words alone.

It uses the functions that decide requests; what would need the client or the host's programs stays
undecided.
"""

import functools
import sys
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import Denied
from airlock_daemon.platform.system import find_missing
from airlock_daemon.setup.generation import BoxConfig, Generation
from airlock_modules import (
    GIT_REMOTE,
    Decision,
    Flag,
    Module,
    PushList,
    Update,
    load_options,
    name_transport,
    parse,
)
from airlock_modules.files.approvals import list_tool_forms
from airlock_modules.operation import Operation
from airlock_wire import encode_text, quote

_VERBS = ("push", "fetch", "pull", "clone", "ls-remote")
"""The subcommands of git that talk to a remote."""
# Flags with which git chooses the refs itself.
_MANY = ("--all", "--branches", "--tags", "--mirror", "--follow-tags")
_SOME, _NONE = "1" * 40, "0" * 40


class Answer(msgspec.Struct, frozen=True):
    """A running daemon's answer to a check: `message` is None if it allows.

    `message` and `layer` are the daemon's words, unverified.
    """

    message: str | None = None
    layer: str | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The decision of the rules, and of the workspace or broker step as far as words suffice.

    `operation` is the broker's operation or the command; None if refused before it is known.
    `asked` is the pattern of [approve] by which a person has to approve it, None without one.
    `message`, `rule` and `hint` are the refusal's; `workspace` or `broker` is that step's outcome.
    `undecided` are paths that depend on the client's directory or its container's mounts, or a host
    that the daemon resolves. `is_part` says that the request may include more than is known,
    `is_past_check` that the daemon's check ends before the refusing step.
    """

    allowed: bool
    operation: Operation | None = None
    asked: str | None = None
    message: str = ""
    rule: str | None = None
    hint: str | None = None
    workspace: str | None = None
    broker: str | None = None
    is_workspace_refusal: bool = False
    undecided: tuple[str, ...] = ()
    is_part: bool = False
    is_past_check: bool = False

    @property
    def is_sure(self) -> bool:
        """Whether nothing more has to be known."""
        return not self.undecided and not self.is_part

    def agrees_with(self, answer: Answer) -> bool:
        """Whether a daemon with this answer has decided by the same files.

        It knows no more of this client, and refuses what it cannot decide.
        """
        if self.undecided and answer.layer in ("broker", "workspace"):
            return True
        return (answer.message is None) == (self.allowed or self.is_past_check)

    def dump(self) -> dict[str, object]:
        """What the rules' decision lacks, as JSON data."""
        refusal = {"rule": self.rule, "message": self.message, "hint": self.hint}
        return {
            "operation": None if self.operation is None else self.operation.line,
            "asked": self.asked if self.allowed else None,
            "workspace": refusal if self.is_workspace_refusal else None,
            "broker": self.broker,
            "undecided": [encode_text(path) for path in self.undecided],
        }


class GitCall(msgspec.Struct, frozen=True, kw_only=True):
    """A git call that talks to a remote.

    `url` is the remote as written, None if there is none. `words` are git's for git-remote, none if
    `url` is a remote's name. `push` are the written refs and options, None unless it is a push;
    `is_complete` says that these are all of them.
    """

    url: str | None
    words: tuple[str, ...] = ()
    push: PushList | None = None
    is_whole: bool = True


def resolve(
    generation: Generation, command: str, words: Sequence[str]
) -> tuple[str, tuple[str, ...], GitCall | None]:
    """The command that a request comes to, its arguments, and the git call that sends them."""
    call = read_git_words(words) if command == "git" else None
    granted = generation.agent.profile.granted(generation.grant.ceiling)
    if call is not None and GIT_REMOTE in granted and "git" not in granted:
        # The container's own git runs, and sends this.
        command, words = GIT_REMOTE, call.words
    # The daemon hands ssh calls on git's behalf to git-remote.
    return (*generation.hand_over(command, tuple(words)), call)


def judge(
    generation: Generation,
    decision: Decision,
    command: str,
    args: Sequence[str],
    *,
    call: GitCall | None = None,
) -> Verdict:
    """Add the outcome of later steps to the `decision` of the rules on `args`.

    These are the workspace, for paths, or the broker, for the destination; `call` is the git call
    that sends a broker these words.
    """
    module = generation.grant.modules.get(command)
    if not decision.allowed or module is None:
        return Verdict(
            allowed=False, message=decision.message, rule=decision.rule, hint=decision.hint
        )
    if module.broker is not None:
        return _ask_broker(module.broker, generation, args, call)
    run = ("run",) if module.wants_box else ()
    ran = Operation((*run, command, *args))
    found = replace(
        _judge_workspace(generation, decision, module, args),
        operation=ran,
        asked=generation.agent.profile.find_approval(list_tool_forms((command, *args), module)),
    )
    if found.allowed:
        found = _foresee(generation, module, found)
    has_broker = module.sandbox is not None and "git" in module.sandbox.brokers
    if call is None or not has_broker or not found.allowed:
        return found
    # The command's box calls the broker, after the steps of a check.
    said = _ask_broker("git", generation, (), call)
    return replace(
        said,
        operation=said.operation or found.operation,
        asked=found.asked or said.asked,
        workspace=found.workspace,
        undecided=(*found.undecided, *said.undecided),
        is_past_check=not said.allowed,
    )


def _foresee(generation: Generation, module: Module, found: Verdict) -> Verdict:
    """Add what is known of the command's box, and of what it will send to a broker from there."""
    if generation.boxes.mode == "off" or sys.platform != "linux":
        from airlock_daemon.boundary.box import Maker  # noqa: PLC0415 - seldom needed

        try:
            Maker.find(module, generation)
        except Denied as error:
            return replace(refuse(error, found.operation), broker=None, is_past_check=True)
    if not (module.has_engine or module.uses_apis):
        return found
    sent = "calls of the docker engine" if module.has_engine else "requests to APIs"
    said = f"undecided: its {sent} are judged when they come"
    if module.apis and not any(module.name in api.names for api in generation.apis.apis):
        from airlock_daemon.setup.apis import refuse_ungranted  # noqa: PLC0415 - as above

        return replace(refuse(refuse_ungranted(module), found.operation), is_past_check=True)
    return replace(found, broker=said, is_part=True)


def _judge_workspace(
    generation: Generation, decision: Decision, module: Module, args: Sequence[str]
) -> Verdict:
    if not decision.paths or module.wants_box:
        needed = f"{module.name} runs in the client's directory, which must be mapped"
        is_needed = module.workspace == "required"
        return Verdict(allowed=True, workspace=f"undecided: {needed}" if is_needed else None)
    paths = tuple(dict.fromkeys(use.path for use in decision.paths))
    if find_missing():
        unable = "a workspace can be looked into on Linux and macOS alone"
        return Verdict(allowed=True, workspace=f"undecided: {unable}", undecided=paths)
    import trio  # noqa: PLC0415 - seldom needed

    from airlock_daemon.boundary.workspace.directory import Mounts  # noqa: PLC0415
    from airlock_daemon.boundary.workspace.path_arguments import (  # noqa: PLC0415
        find_undecided,
        judge_paths,
    )

    undecided = find_undecided(paths, generation.agent)
    step = functools.partial(
        judge_paths,
        args,
        [use for use in decision.paths if use.path not in undecided],
        mounts=Mounts(generation.agent),
        reserved=generation.reserved,
        lookups=trio.CapacityLimiter(1),
    )
    try:
        trio.run(step)
    except Denied as error:
        return replace(
            refuse(error), broker=None, workspace=f"refused: {error}", is_workspace_refusal=True
        )
    said = "passed: no path leads out of what the profile maps, nor up from where it starts"
    if undecided:
        shown = ", ".join(map(quote, undecided))
        decide = "the client's directory and its container's mounts decide about"
        said = f"undecided: {decide} {shown}"
    return Verdict(allowed=True, workspace=said, undecided=undecided)


def _ask_broker(
    broker: str, generation: Generation, args: Sequence[str], call: GitCall | None
) -> Verdict:
    from airlock_daemon.admin.cli.broker_verdict import (  # noqa: PLC0415 - needs trio
        judge_call,
        judge_object,
        judge_session,
        judge_words,
    )

    if broker == "sign":
        return judge_object(generation, args)
    if broker == "ssh":
        return judge_session(generation, args)
    return judge_words(generation, args) if call is None else judge_call(generation, call)


def refuse(error: Denied, operation: Operation | None = None) -> Verdict:
    """The verdict of a step that refuses."""
    return Verdict(
        allowed=False,
        operation=operation,
        message=error.message,
        rule=error.rule,
        hint=error.hint,
        broker=f"refused: {error.message}",
    )


def read_git_words(args: Sequence[str]) -> GitCall | None:
    """Parse the arguments of git; None for a subcommand that talks to no remote."""
    parsed = parse(load_options("git"), args)
    names = [word.text for word in parsed.words]
    if not {*parsed.command}.intersection(_VERBS):
        return None
    if "push" in parsed.command:
        return _read_push(names, parsed.flags)
    url = next((word for word in names if name_transport(word, "")), None)
    if url is None:
        return GitCall(url=names[0] if names else None)
    return GitCall(url=url, words=name_transport(url, "git-upload-pack"))


def _read_push(names: Sequence[str], found: Sequence[Flag]) -> GitCall:
    url, *specs = names or [""]
    flags = {flag.name for flag in found}
    options = [
        value.text for flag in found if flag.name == "--push-option" for value in flag.values
    ]
    deletes = "--delete" in flags
    updates = []
    is_whole = bool(specs) and not flags.intersection(_MANY)
    while specs:
        spec = specs.pop(0)
        if spec == "tag" and specs:
            spec = f"refs/tags/{specs.pop(0)}"
        source, colon, target = spec.removeprefix("+").partition(":")
        ref = target if colon else source
        if "*" in ref or ref in ("", "HEAD", "@"):
            is_whole = False
            continue
        new = _NONE if deletes or (colon and not source) else _SOME
        # git resolves a short name to a branch, also to one that does not exist yet.
        updates.append(Update(_NONE, new, ref if ref.startswith("refs/") else f"refs/heads/{ref}"))
    return GitCall(
        url=url or None,
        words=name_transport(url, "git-receive-pack"),
        push=PushList(updates=tuple(updates), options=tuple(options)),
        is_whole=is_whole,
    )


def describe_box(module: Module, config: BoxConfig) -> str | None:
    """Describe a command's box for a person, as far as the files tell.

    None for a broker's command, and for a module with APIs only.
    """
    if module.broker is not None or not module.has_command:
        return None
    if module.lacks_box:
        return f"refused: {module.source} names no [sandbox] box"
    if not module.wants_box:
        return "off: it runs on the host as the daemon's user"
    if config.mode == "off":
        said = "[sandbox] mode of config.toml"
        return f"refused: {said} is off" if module.relies_on_box else f"off: so says {said}"
    if module.shows_home:
        return f"{BoxConfig.HOME_CLASS}: it can read and send away every credential in your home"
    network = () if module.sandbox is None else module.sandbox.network
    engine = ["its agent's docker engine"] if module.has_engine else []
    reached = (*engine, *(["its agent's APIs"] if module.uses_apis else []), *network)
    return f"closed, but for {', '.join(reached)}" if reached else "closed"
