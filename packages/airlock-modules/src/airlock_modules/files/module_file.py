"""The module file: how one command is proxied, and what is refused.

This release reads `[command] bin, broker`, `[syntax]`, exactly one of `[deny]` and `[allow]`,
`[[examples]]`, `[env] inherit, forward, strip, set`, `[args] prepend, append`,
`[exec] concurrent, workspace, timeout_s`, `[sandbox]` (see `sandbox_table`), and `[[api]]` and
`[client]` (see `api_tables`). A file with an `[[api]]` may have no command and then no table about
one. A command with an `[[api]]` runs in a closed box and needs no `[sandbox]`. Neither it nor one
with the broker "docker" needs rules: without rules every argument passes, since its requests to
APIs or the engine are judged. Other tables of the format are refused by name: one that was silently
ignored would promise a protection that is missing.

An example has `args` and the decision to `expect`, "allowed" or "denied". A file whose rules decide
otherwise is faulty.
"""

import re
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.files.builtins import builtin_text
from airlock_modules.files.toml_reader import Fault, ModuleError, TableReader, is_name
from airlock_wire.text import quote

if TYPE_CHECKING:
    from airlock_modules.apis import Api, Client
    from airlock_modules.files.rule_tables import Example
    from airlock_modules.files.sandbox_table import Sandbox
    from airlock_modules.rules.grammar_rules import GrammarRules
    from airlock_modules.rules.rule import PlainRules

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORWARD_ENTRY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")
Broker = Literal["git", "ssh", "sign"]
Workspace = Literal["required", "optional", "none"]

# The programs that brokers run on the host.
_PROGRAMS = {"git": "ssh", "ssh": "ssh", "sign": "ssh-keygen"}
_BROKERS: Mapping[str, Broker] = {each: each for each in get_args(Broker)}
_WORKSPACES: Mapping[str, Workspace] = {each: each for each in get_args(Workspace)}
_MAX_TIMEOUT_S = 7 * 24 * 3600.0
_OF_A_COMMAND = (*("deny", "allow", "syntax", "examples", "env", "args", "exec", "sandbox"),)
_NO_CREDENTIALS = (
    "is of earlier releases: a box holds no credential any more",
    (
        'write [[api]] with hosts = ["api.example.com"], allow = ["GET /**"] and credential = '
        '{ as = "header", command = ["COMMAND"], placeholder = "{36}" }, and [client] env = '
        '{ NAME = "{placeholder}" } for what the tool reads; the daemon puts the credential in'
    ),
)
_ENGINE_LOGINS = (
    "is of earlier releases",
    "name the registries whose logins are used in [docker] of the profile: registries and push",
)


class Module(Struct, frozen=True, kw_only=True):
    """How one command is proxied, and which APIs are granted with it.

    `bin` is a name on the daemon's PATH or an absolute path. With a `broker` the daemon serves the
    command itself, running `bin` if it needs a program. `inherit`, `forward`, `strip` and `set`
    define the tool's environment; an entry of `forward` is a name, or a prefix and `*`. `prepend`
    and `append` surround the client's arguments; a broker's `prepend` follows the broker's own
    arguments. With `concurrent` false one invocation runs at a time. A required `workspace` must be
    mapped; an optional one is an empty directory if it is not; with "none" it is always empty, and
    the tool sees nothing that the client wrote. `timeout_s` is in seconds, 0 for none. `sandbox` is
    None if the file names no box. `apis` are as written. `clients` has what tools get to use them:
    "" for always, or the name of an option. A module of APIs alone has no command. `source` names
    the file, `builtin` means that it ships with this package. `own_rules` is None if no argument is
    refused.
    """

    name: str
    bin: str
    broker: Broker | None = None
    own_rules: "PlainRules | GrammarRules | None" = None
    inherit: tuple[str, ...] = ()
    forward: tuple[str, ...] = ()
    strip: tuple[str, ...] = ()
    set: Mapping[str, str] = {}
    prepend: tuple[str, ...] = ()
    append: tuple[str, ...] = ()
    concurrent: bool = True
    workspace: Workspace = "optional"
    timeout_s: float = 0.0
    sandbox: "Sandbox | None" = None
    apis: "tuple[Api, ...]" = ()
    clients: "Mapping[str, Client]" = {}
    source: str
    builtin: bool = False

    @property
    def rules(self) -> "PlainRules | GrammarRules":
        """The rules, which are loaded only where there are any, or to explain a decision."""
        if self.own_rules is not None:
            return self.own_rules
        from airlock_modules.rules.rule import PlainRules  # noqa: PLC0415

        return PlainRules(mode="deny" if self.has_command else "allow")

    @property
    def has_command(self) -> bool:
        """Whether the module has a command, not only APIs."""
        return bool(self.bin)

    @property
    def has_engine(self) -> bool:
        """Whether the command's box reaches the broker of the docker engine."""
        return self.sandbox is not None and self.sandbox.has_engine

    @property
    def uses_apis(self) -> bool:
        """Whether the command reaches APIs through the HTTPS broker, from a closed box."""
        return bool(self.apis) and self.has_command

    @property
    def wants_box(self) -> bool:
        """Whether the command needs a box."""
        return self.sandbox is not None and self.sandbox.box != "none"

    @property
    def relies_on_box(self) -> bool:
        """Whether it is refused without a box, as its requests are judged and no argument is."""
        return self.builtin or self.uses_apis or self.has_engine

    @property
    def needs_bubblewrap(self) -> bool:
        """Whether Landlock cannot make its box, since the box reaches a network or an engine."""
        has_network = self.sandbox is not None and bool(self.sandbox.network)
        return self.has_engine or self.uses_apis or has_network

    @property
    def shows_home(self) -> bool:
        """Whether its box has the human's home."""
        return self.sandbox is not None and self.sandbox.box == "home"

    @property
    def runs_git(self) -> bool:
        """Whether its program is git, or uses it and so needs git's configuration in the box."""
        brokers = () if self.sandbox is None else self.sandbox.brokers
        return "git" in brokers or self.bin.rpartition("/")[2] == "git"

    @property
    def lacks_box(self) -> bool:
        """Whether the command has no box, so that it is refused.

        An override inherits the box of its built-in module before this is checked.
        """
        return self.has_command and self.broker is None and self.sandbox is None


def parse_module(text: str, *, name: str, source: str, builtin: bool = False) -> Module:
    """Read the module file of the command `name`.

    `source` is what faults call the file. Raises `ModuleError` with all its faults.
    """
    faults: list[Fault] = []
    if not is_name(name):
        faults.append(Fault(source, "", f"{quote(name)} cannot name a command", "rename the file"))
    reader = TableReader.parse(text, source=source, faults=faults)
    if reader is None:
        raise ModuleError(faults)
    apis, clients = _read_apis(reader, name)
    if apis and not reader.has("command"):
        for key in _OF_A_COMMAND:
            reader.refuse(key, "is about a command, and this module has none", "remove it")
        reader.finish()
        if faults:
            raise ModuleError(faults)
        return Module(
            name=name,
            bin="",
            apis=apis,
            clients=clients,
            source=source,
            builtin=builtin,
        )
    command = reader.table("command")
    broker, program = _read_program(command)
    sandbox = _read_sandbox(reader, is_broker=broker is not None, has_apis=bool(apis))
    has_engine = sandbox is not None and sandbox.has_engine
    rules = _read_rules(reader, tool=name, is_optional=bool(apis) or has_engine)
    examples: tuple[Example, ...] = ()
    if reader.has("examples"):
        from airlock_modules.files.rule_tables import read_examples  # noqa: PLC0415

        examples = tuple(read_examples(reader))
    env, args, run = reader.table("env"), reader.table("args"), reader.table("exec")
    strip, settings = _read_names(env, "strip"), _read_set(env)
    if broker is not None:
        args.refuse("append", "has no meaning for a broker", "use prepend, or remove it")
    workspace = run.choice("workspace", (*_WORKSPACES,), default="optional")
    reader.refuse("credentials", *(_ENGINE_LOGINS if has_engine else _NO_CREDENTIALS))
    forward = _read_forward(env, strip=strip, settings=settings)
    module = Module(
        name=name,
        bin=program,
        broker=broker,
        own_rules=rules,
        inherit=_read_names(env, "inherit"),
        forward=forward,
        strip=strip,
        set=settings,
        prepend=args.strings("prepend"),
        append=args.strings("append"),
        concurrent=run.boolean("concurrent", default=True),
        workspace=_WORKSPACES.get(workspace, "optional"),
        timeout_s=run.number("timeout_s", default=0.0, minimum=0.0, maximum=_MAX_TIMEOUT_S),
        sandbox=sandbox,
        apis=apis,
        clients=clients,
        source=source,
        builtin=builtin,
    )
    reader.finish()
    if examples and not faults:  # faulty rules would judge the examples wrongly
        from airlock_modules.files.rule_tables import check_examples  # noqa: PLC0415

        faults += check_examples(examples, module.rules, source)
    if faults:
        raise ModuleError(faults)
    return module


def narrow_module(module: Module, reader: TableReader, key: str) -> Module:
    """Return the module narrowed by the rules in the array `key` of a profile.

    They are written as in `[deny] args`, whether the module denies or allows. `reader` records
    faults.
    """
    from airlock_modules.files.rule_tables import narrow_rules  # noqa: PLC0415

    return replace(module, own_rules=narrow_rules(module.rules, reader, key))


def load_builtin(name: str) -> Module:
    """Return a built-in module. Raises `KeyError` if there is none."""
    return parse_module(
        builtin_text(name), name=name, source=f"built-in module {name}", builtin=True
    )


def _read_apis(reader: TableReader, name: str) -> "tuple[tuple[Api, ...], Mapping[str, Client]]":
    """Read a module's APIs, and what tools get for them and their options."""
    if not reader.has("api"):
        reader.refuse("client", "is about APIs, and there is none", "add [[api]], or remove it")
        return (), {}
    # Most modules have none and then load none of this.
    from airlock_modules.files.api_tables import (  # noqa: PLC0415
        find_keys,
        read_apis,
        read_clients,
    )

    apis, clients = read_apis(reader, module=name), read_clients(reader)
    rules = [rule for each in apis for rule in (*each.allow, *each.deny)]
    known = {"", *find_keys(rules), *(key for each in apis for key in each.options)}
    for key in clients:
        if apis and key not in known:
            problem = "is no option of an [[api]]"
            reader.table("client").refuse(key, problem, "correct the name, or remove it")
    return apis, clients


def _read_sandbox(reader: TableReader, *, is_broker: bool, has_apis: bool) -> "Sandbox | None":
    """As `read_sandbox`, which is loaded only for a command that has a box."""
    if is_broker:
        reader.refuse("sandbox", "has no meaning for a broker", "remove it")
        return None
    if not has_apis and not reader.has("sandbox"):
        return None
    from airlock_modules.files.sandbox_table import read_sandbox  # noqa: PLC0415

    return read_sandbox(reader, has_apis=has_apis)


def _read_rules(
    reader: TableReader, *, tool: str, is_optional: bool
) -> "PlainRules | GrammarRules | None":
    """As `read_rules`, which is loaded only for a file that may refuse anything."""
    if not reader.has("allow") and not reader.has("syntax"):
        deny = reader.table("deny")
        if deny.names() == ("args",) and deny.is_empty("args"):
            return None
        if is_optional and not reader.has("deny"):
            return None
    from airlock_modules.files.rule_tables import read_rules  # noqa: PLC0415

    return read_rules(reader, tool=tool, is_optional=is_optional)


def _read_program(command: TableReader) -> tuple[Broker | None, str]:
    """Return the broker, if any, and the program that it or the command runs.

    A module of any name that runs ssh gets the ssh broker, unless it declines one.
    """
    named = command.choice("broker", (*_BROKERS, "none"), default="")
    broker = _BROKERS.get(named)
    if broker is not None:
        command.refuse("bin", "has no meaning for a broker", "remove it")
        return broker, _PROGRAMS[broker]
    program = _read_bin(command)
    is_ssh = named != "none" and program.rpartition("/")[2] == "ssh"
    return "ssh" if is_ssh else None, program


def _read_bin(command: TableReader) -> str:
    program = command.string("bin", required=True)
    if program in (".", "..") or ("/" in program and not program.startswith("/")):
        # A relative path would resolve in the workspace, which the client writes.
        command.fault("bin", "is a relative path", "write a name on PATH or an absolute path")
    return program


def _read_names(env: TableReader, key: str) -> tuple[str, ...]:
    names = env.strings(key)
    for name in names:
        _check_name(env, key, name)
    return names


def _read_forward(
    env: TableReader, *, strip: Container[str], settings: Container[str]
) -> tuple[str, ...]:
    entries = env.strings("forward")
    for entry in entries:
        if entry == "*":
            problem = '"*" would let the client choose every variable'
            env.fault("forward", problem, "list the names, or a beginning such as LC_*")
        elif not _FORWARD_ENTRY.fullmatch(entry):
            problem = f"{quote(entry)} is not the name of an environment variable"
            remedy = "use letters, digits and _ only, no digit first, and * at the end only"
            env.fault("forward", problem, remedy)
        elif entry in strip or entry in settings:
            other = "strip" if entry in strip else "set"
            problem = f"{entry} stands in {other} too, so that the client's value is never used"
            env.fault("forward", problem, "keep one of the two")
    return entries


def _read_set(env: TableReader) -> dict[str, str]:
    values = env.string_map("set")
    for name in values:
        _check_name(env, "set", name)
    return values


def _check_name(env: TableReader, key: str, name: str) -> None:
    if not _ENVIRONMENT_NAME.fullmatch(name):
        problem = f"{quote(name)} is not the name of an environment variable"
        env.fault(key, problem, "use letters, digits and _ only, and no digit first")
