"""Target: the arguments of a client, judged by each built-in module.

The first byte chooses the command; the arguments follow, separated by NUL as no argument can hold
it. Nothing is ever raised, what is said is one line, and spelling a flag's value in another way
that the tool takes for the same changes neither the decision nor the paths that would be opened.
"""

from airlock_modules import (
    Decision,
    GrammarRules,
    Grant,
    builtin_names,
    describe_reading,
    dump_reading,
    evaluate,
    load_builtin,
    load_options,
)
from fuzz.respelling import respell
from fuzz.target import BrokenPromiseError, Target, decode, require_one_line

_MAX_LENGTH = 1024
# That of git's broker has no rules for arguments.
_NAMES = tuple(
    name for name in builtin_names() if isinstance(load_builtin(name).rules, GrammarRules)
)
_GRANT = Grant(ceiling=_NAMES, commands=(), modules={name: load_builtin(name) for name in _NAMES})


def _check(data: bytes) -> None:
    if not data:
        return
    name = _NAMES[data[0] % len(_NAMES)]
    args = [decode(part) for part in data[1:].split(b"\0")]
    decision = evaluate(_GRANT, name, args)
    _check_texts(decision)
    _check_texts(evaluate(_GRANT, args[0], args))
    if decision.reading is None:
        raise BrokenPromiseError(f"{name} was not read")
    dump_reading(decision.reading)
    for line in describe_reading(decision.reading):
        require_one_line(line)
    for other in respell(load_options(name), args):
        found = evaluate(_GRANT, name, other)
        if _summarise(found) != _summarise(decision):
            raise BrokenPromiseError(
                f"{name} {args!a} is {_summarise(decision)!a}, {other!a} is {_summarise(found)!a}"
            )


def _check_texts(decision: Decision) -> None:
    for text in (decision.message, decision.hint or "", *(step.detail for step in decision.steps)):
        require_one_line(text)


def _summarise(decision: Decision) -> tuple[bool, str | None, list[tuple[str, str]]]:
    return decision.allowed, decision.rule, [(path.by, path.path) for path in decision.paths]


def _make_seeds() -> tuple[bytes, ...]:
    lines = {
        "git": ("-C sub push origin main", "log --format=%H -n3 -- a", "commit -am x --fixup=y"),
        "ssh": ("-p 22 -oUser=x host ls -l", "-vNL 1:h:2 -i key u@host"),
    }
    return tuple(
        bytes([number]) + line.encode().replace(b" ", b"\0")
        for number, name in enumerate(_NAMES)
        for line in lines.get(name, ())
    )


def _make_words() -> tuple[bytes, ...]:
    words: dict[str, None] = {}
    for name in _NAMES:
        scopes = list(load_options(name).scopes())
        # Of hundreds of subcommands every so many will do.
        for scope in scopes[:: 1 + len(scopes) // 100]:
            words["\0".join(scope.key)] = None
            words.update(dict.fromkeys(list(scope.flags.exact)[:20]))
    return tuple(
        word.encode() + end for word in words if word and len(word) < 40 for end in (b"\0", b"=")
    )


TARGET = Target(check=_check, seeds=_make_seeds(), words=_make_words(), longest=_MAX_LENGTH)
"""Reading and judging what a client asks for."""
