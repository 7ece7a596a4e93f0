"""The index of refusals: each message with which Airlock refuses, its rule, remedy and source file.

It is read from the sources, so that it has exactly the refusals that there are. A part of a message
that is known only when it is refused is an ellipsis.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tasks.places import ROOT

SOURCES = (
    ROOT / "packages/airlock-daemon/src/airlock_daemon",
    ROOT / "packages/airlock-modules/src/airlock_modules",
)
UNKNOWN = "…"
LAYERS = {
    "ceiling": "Not enabled: the ceiling",
    "profile": "Not granted: the profile and your answers",
    "module": "A rule of the module",
    "hook": "A hook of yours",
    "workspace": "The container, its directory and its paths",
    "sandbox": "The box on the host",
    "broker": "What was asked of a remote, an API or an engine",
    "limit": "Limits",
}
"""The layers in the order in which they decide, and the titles of their sections."""

_INTRODUCTION = """\
# I was refused

A refusal begins with `airlock: `, and says what to do next. Search this page for its words or its
rule: `airlock log tail` shows the rule of each refusal. The exit status is 126, or 127 for a
command that is not enabled. The container's own git exits with 1 if a ref was refused, and with
128 for anything else. An API answers with HTTP status 403.

On the host, `airlock test AGENT COMMAND...` decides the same command again, and says which layer
and which rule decide. `airlock doctor` finds what is wrong with the host. Do not try another
spelling: it is the same operation, and refused too. A rule that is not on this page is one of a
module's own, such as `push & --force`: `airlock show NAME` prints these, each with its reason.

Each entry is a message, what to do, and the file that decides. `…` depends on the request.
"""

_UNKNOWNS = re.compile(rf"{UNKNOWN}(?:[ .]?{UNKNOWN}|\.\.\.)+")
_EMPTY = re.compile(rf".*(  | ,).*|({UNKNOWN}|is refused|the pre-exec hook|[ :,])*")


def _text(value: str) -> ast.expr:
    return ast.Constant(value=value)


_MISSING = _text("")
_BROKER = _text("broker")
_PARTS = len(("message", "rule", "hint"))
_PUSH = (
    "push what [git] of the agent's airlock.toml allows; a person on the host can change it there"
)
_HOOK = "a person on the host has to mend the hook"
_FOREIGN = "use the placeholder that this container was given"
_CALL = "send what the documentation of this API says, in its spelling"
_RELAYS = {
    "session_words.py": "boundary/brokers/ssh/session.py",
    "signing.py": "boundary/brokers/sign/signing.py",
}
"""Which file of the daemon adds the remedy to a RemoteError of a file; else `_GIT` does."""
_GIT = "boundary/brokers/git/rules.py"
_NOT_REFUSALS = ("/admin/", "/setup/", "/remotes/grants.py", "/request/post_exec.py")
"""Where the same classes say what is wrong with a file or a hook of the operator's."""
_REFUSALS = ("/setup/apis.py",)
"""Where, among these, a request is refused."""


_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Made = ast.Call | ast.Return
_Chosen = Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A message for a client; `file` begins at the package's name."""

    layer: str
    rule: str
    message: str
    remedy: str
    file: str


@dataclass(frozen=True, slots=True)
class _Form:
    """Expressions for the parts of a refusal, as one call has them."""

    layer: ast.expr
    rule: ast.expr
    message: ast.expr
    remedy: ast.expr


def write_refusals_page() -> str:
    """Return the page as Markdown."""
    found = list_refusals(SOURCES)
    parts = [_INTRODUCTION]
    for layer, title in LAYERS.items():
        parts.append(f"## {title}\n")
        rules = dict.fromkeys(each.rule for each in found if each.layer == layer)
        for rule in rules:
            if rule:
                parts.append(
                    "### Rules with names of their own\n" if rule == UNKNOWN else f"### `{rule}`\n"
                )
            entries: dict[tuple[str, str], list[str]] = {}
            for each in found:
                if (each.layer, each.rule) == (layer, rule):
                    entries.setdefault((each.message, each.remedy), []).append(each.file)
            for (message, remedy), files in entries.items():
                decides = ", ".join(f"`{file}`" for file in files)
                parts.append(f"- **{_escape(message)}**: {_escape(remedy)}. ({decides})")
            parts.append("")
    return "\n".join(parts)


def list_refusals(sources: tuple[Path, ...]) -> list[Refusal]:
    """Return each refusal in the packages, sorted."""
    files = [
        _File(path, str(path.relative_to(source.parent)), ast.parse(path.read_text("utf-8")))
        for source in sources
        for path in sorted(source.rglob("*.py"))
    ]
    program = _Program({each.name: each for each in files})
    return sorted({each for file in files for each in program.find_refusals(file)})


class _File:
    """A parsed file: its functions, the calls in them, and its constants."""

    def __init__(self, path: Path, name: str, tree: ast.Module) -> None:
        self.path, self.name, self.tree = path, name, tree
        self.functions: dict[str, _Function] = {}
        self.calls: list[tuple[_Made, _Function | None]] = []
        """Calls and returned tuples, each with its function."""
        self.imported: dict[str, str] = {}
        """The modules of imported names."""
        self._walk(tree, None)

    def _walk(self, node: ast.AST, function: _Function | None) -> None:
        for child in ast.iter_child_nodes(node):
            inner = function
            match child:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self.functions[child.name] = inner = child
                case ast.Call() | ast.Return():
                    self.calls.append((child, function))
                case ast.ImportFrom(module=str() as module):
                    self.imported |= {alias.name: module for alias in child.names}
            self._walk(child, inner)

    def gives(self, name: str, other: "_File") -> bool:
        """Whether that is what `other` means by `name`."""
        module = other.imported.get(name)
        dotted = self.name.replace("/", ".")
        return other is self or (module is not None and dotted.startswith(module))

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """The module's own constants."""
        return {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }


class _Program:
    """All files, by name."""

    def __init__(self, files: Mapping[str, _File]) -> None:
        self._files = files
        self._constants = {
            name: value for file in files.values() for name, value in file.constants.items()
        }
        self._calls: dict[str, list[tuple[_File, ast.Call, _Function | None]]] = {}
        for file in files.values():
            for call, function in file.calls if _can_refuse(file) else ():
                if isinstance(call, ast.Call):
                    self._calls.setdefault(_name_call(call), []).append((file, call, function))

    def find_refusals(self, file: _File) -> Iterator[Refusal]:
        """Yield the refusals that a file makes."""
        for call, function in file.calls if _can_refuse(file) else ():
            form = self._read(call, file) if isinstance(call, ast.Call) else _read_tuple(call, file)
            if form is not None:
                yield from self._expand(form, file, function, call.lineno)

    def _expand(
        self, form: _Form, file: _File, function: _Function | None, line: int
    ) -> Iterator[Refusal]:
        """Yield the refusals of one form: one for each call of a function that is given a part."""
        scope = _Scope(file, function, line, self._constants)
        plain = set(_list_texts(form, scope, file))
        asked = scope.list_parameters((form.layer, form.rule, form.message, form.remedy))
        found = set()
        for caller, call, outer in self._find_callers(file, function) if asked else ():
            around = _Scope(caller, outer, call.lineno, self._constants)
            given = _bind(scope.function, call).items() if scope.function else ()
            values = {name: around.resolve(value) for name, value in given if name in asked}
            inner = _Scope(file, function, line, self._constants, values)
            found |= {
                replace(each, file=file.name) if replace(each, file=file.name) in plain else each
                for each in _list_texts(form, inner, caller)
            }
        yield from found or plain

    def _find_callers(
        self, file: _File, function: _Function | None
    ) -> Iterator[tuple[_File, ast.Call, _Function | None]]:
        name = "" if function is None else function.name
        for other, call, outer in self._calls.get(name, ()):
            if file.gives(name, other) and outer is not function:
                yield other, call, outer

    def _read(self, made: ast.Call, file: _File) -> _Form | None:
        """Return the parts of what makes a refusal."""
        name = _name_call(made)
        words = {each.arg: each.value for each in made.keywords if each.arg is not None}
        first = made.args[0] if made.args else words.get("message", _MISSING)
        hint = words.get("hint", _MISSING)
        rule = words.get("rule", _MISSING)
        form = None
        match name:
            case "Denied":
                form = _Form(words.get("layer", _MISSING), rule, first, hint)
            case "Decision" if "message" in words and "hint" in words:
                form = _Form(words.get("layer", _text("ceiling")), rule, first, hint)
            case "RemoteError":
                form = self._relay(_RELAYS.get(file.path.name, _GIT), first, rule)
            case "Refusal" if "problem" in words:
                form = _Form(_BROKER, rule, words["problem"], _text(_PUSH))
            case "Refusal" if "message" in words:
                form = _Form(_BROKER, rule, first, hint)
            case "Refused" if "hint" in words:
                form = _Form(_BROKER, words.get("rule", _text("call")), first, hint)
            case "BadHead":
                form = _Form(_BROKER, _text("request"), first, words.get("hint", _text(_CALL)))
            case "ForeignCredential":
                form = _Form(_BROKER, _text("credential"), first, _text(_FOREIGN))
            case "Unmapped":
                form = _Form(_text("workspace"), _text("unmapped"), first, hint)
            case "HookFault":
                form = _read_hook(first, rule)
            case "Verdict" if "/apis/" in file.name and len(made.args) == _PARTS:
                form = _Form(_BROKER, made.args[1], first, made.args[2])
        return form

    def _relay(self, path: str, problem: ast.expr, rule: ast.expr) -> _Form:
        """The form of an error that a broker's refusal quotes, with that refusal's remedy."""
        file = self._files.get(f"airlock_daemon/{path}")
        remedy: ast.expr = _MISSING
        for call, _ in file.calls if file is not None else ():
            if isinstance(call, ast.Call) and _name_call(call) == "Denied":
                words = {each.arg: each.value for each in call.keywords}
                if ast.unparse(words["rule"]) == "error.rule":
                    remedy = words["hint"]
        return _Form(_BROKER, rule, problem, remedy)


class _Scope:
    """What names mean at a line of a function."""

    def __init__(
        self,
        file: _File,
        function: _Function | None,
        line: int,
        constants: Mapping[str, ast.expr],
        bound: Mapping[str, list[str]] | None = None,
    ) -> None:
        self._file, self._constants, self._bound = file, constants, bound or {}
        self.function = function
        self._locals: dict[str, list[ast.expr]] = {}
        self._parameters: set[str] = set()
        if function is not None:
            spec = function.args
            self._parameters = {each.arg for each in (*spec.args, *spec.kwonlyargs)}
            found: dict[str, list[tuple[int, ast.expr, bool]]] = {}
            for name, value, is_sure in _list_assignments(function.body, line):
                found.setdefault(name, []).append((value.lineno, value, is_sure))
            for name, each in found.items():
                # What was assigned before the last assignment on every way here is gone.
                since = max((at for at, _, is_sure in each if is_sure), default=0)
                self._locals[name] = [value for at, value, _ in each if at >= since]
        self._open: set[str] = set()

    def list_parameters(self, parts: tuple[ast.expr, ...]) -> set[str]:
        """Return the parameters of which whole parts of a text are made."""
        found: set[str] = set()
        for part in parts:
            for node in _list_names(part):
                if node in self._locals:
                    found |= {name for value in self._locals[node] for name in _list_names(value)}
                found.add(node)
        return found & self._parameters

    def resolve(self, node: ast.expr) -> list[str]:
        """Return all texts that an expression may have."""
        return list(dict.fromkeys(text for text, _ in self.choose(node, {})))

    def choose(self, node: ast.expr, chosen: _Chosen) -> Iterator[tuple[str, _Chosen]]:
        """Yield each text of an expression, with what it takes the names in it to be."""
        match node:
            case ast.Constant(value=str() as text):
                yield text, chosen
            case ast.Constant(value=None):
                yield "", chosen
            case ast.JoinedStr(values=[]):
                yield "", chosen
            case ast.JoinedStr(values=[first, *others]):
                for text, so_far in self.choose(first, chosen):
                    for more, then in self.choose(ast.JoinedStr(values=others), so_far):
                        yield text + more, then
            case ast.FormattedValue(value=value):
                yield from self.choose(value, chosen)
            case ast.BinOp(op=ast.Add()):
                yield from self.choose(ast.JoinedStr(values=[node.left, node.right]), chosen)
            case ast.IfExp():
                yield from self.choose(node.body, chosen)
                yield from self.choose(node.orelse, chosen)
            case ast.BoolOp(op=ast.Or(), values=[ast.Attribute(attr="hint"), other]):
                # The error's own is listed where the error is made.
                yield from self.choose(other, chosen)
            case ast.Name() | ast.Call():
                key = ast.unparse(node)
                texts = [chosen[key]] if key in chosen else self._list_meanings(node, key)
                yield from ((text, {**chosen, key: text}) for text in texts)
            case _:
                yield UNKNOWN, chosen

    def _list_meanings(self, node: ast.Name | ast.Call, key: str) -> list[str]:
        if key in self._bound:
            return self._bound[key]
        if key in self._open:
            return [UNKNOWN]
        self._open.add(key)
        values = () if isinstance(node, ast.Call) else self._find(key)
        found = [text for value in values for text in self.resolve(value)]
        found += self._call(node) if isinstance(node, ast.Call) else ()
        self._open.discard(key)
        return list(dict.fromkeys(found)) or [UNKNOWN]

    def _find(self, name: str) -> list[ast.expr]:
        if name in self._locals:
            return self._locals[name]
        if name in self._parameters:
            return []
        if name in self._file.constants:
            return [self._file.constants[name]]
        imported = self._constants.get(name) if name in self._file.imported else None
        return [] if imported is None else [imported]

    def _call(self, call: ast.Call) -> Iterator[str]:
        """What a function of the same file returns."""
        function = self._file.functions.get(_name_call(call))
        if function is None or function is self.function:
            return
        given = {name: self.resolve(value) for name, value in _bind(function, call).items()}
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None:
                inner = _Scope(self._file, function, node.lineno, self._constants, given)
                inner._open |= self._open
                yield from inner.resolve(node.value)


def _read_tuple(made: ast.Return, file: _File) -> _Form | None:
    """The parts of what a judge of AWS returns."""
    is_judge = file.name.endswith("/aws/grant.py")
    parts = made.value.elts if is_judge and isinstance(made.value, ast.Tuple) else []
    return _Form(_BROKER, parts[1], parts[0], parts[2]) if len(parts) == _PARTS else None


def _read_hook(first: ast.expr, rule: ast.expr) -> _Form:
    message = ast.BinOp(_text("the pre-exec hook "), ast.Add(), first)
    is_late = isinstance(rule, ast.Constant) and rule.value == "timeout"
    remedy = ast.Name(id="_SILENCE") if is_late else _text(_HOOK)
    return _Form(_text("hook"), rule, message, remedy)


def _list_assignments(
    body: list[ast.stmt], line: int, *, is_sure: bool = True
) -> Iterator[tuple[str, ast.expr, bool]]:
    """Yield what is assigned before a line, and whether it is on every way there."""
    for statement in body:
        if statement.lineno > line:
            return
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                pairs = [(target, statement.value)]
                if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
                    pairs = list(zip(target.elts, statement.value.elts, strict=True))
                for name, value in pairs:
                    if isinstance(name, ast.Name):
                        yield name.id, value, is_sure
        for block in _list_blocks(statement):
            is_around = block[0].lineno <= line <= (block[-1].end_lineno or line)
            yield from _list_assignments(block, line, is_sure=is_sure and is_around)


def _list_blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for part in ("body", "orelse", "finalbody"):
        block = getattr(statement, part, [])
        if block:
            yield block
    for part in ("handlers", "cases"):
        for each in getattr(statement, part, []):
            yield each.body


def _list_texts(form: _Form, scope: _Scope, decides: _File) -> Iterator[Refusal]:
    for layer, first in scope.choose(form.layer, {}):
        for rule, second in scope.choose(form.rule, first):
            for message, third in scope.choose(form.message, second):
                for remedy, _ in scope.choose(form.remedy, third):
                    if layer in LAYERS and not _EMPTY.fullmatch(message):
                        shown = [_shorten(each) for each in (rule, message, remedy)]
                        yield Refusal(layer, shown[0], shown[1], shown[2], decides.name)


def _shorten(text: str) -> str:
    return _UNKNOWNS.sub(UNKNOWN, text).strip()


def _can_refuse(file: _File) -> bool:
    return file.name.endswith(_REFUSALS) or not any(part in file.name for part in _NOT_REFUSALS)


def _name_call(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)


def _bind(function: _Function, call: ast.Call) -> dict[str, ast.expr]:
    """Return the argument of each parameter, defaults included."""
    spec = function.args
    names = [each.arg for each in spec.args if each.arg != "self"]
    given: dict[str, ast.expr] = {}
    if spec.defaults:
        given |= zip(names[-len(spec.defaults) :], spec.defaults, strict=True)
    given |= {
        each.arg: value
        for each, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
        if value is not None
    }
    given |= dict(zip(names, call.args, strict=False))
    return given | {each.arg: each.value for each in call.keywords if each.arg is not None}


def _list_names(node: ast.expr) -> Iterator[str]:
    """Yield the names that stand for a whole part of a text."""
    match node:
        case ast.Name(id=name):
            yield name
        case ast.JoinedStr():
            for each in node.values:
                yield from _list_names(each)
        case ast.FormattedValue():
            yield from _list_names(node.value)
        case ast.BinOp():
            yield from _list_names(node.left)
            yield from _list_names(node.right)
        case ast.IfExp():
            yield from _list_names(node.body)
            yield from _list_names(node.orelse)


def _escape(text: str) -> str:
    """Return a message so that Markdown shows it as it is."""
    for mark in "\\`*_<[]#":
        text = text.replace(mark, f"\\{mark}" if mark != "<" else "&lt;")
    return " ".join(text.split())
