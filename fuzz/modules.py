"""Target: module files, option tables, rules and patterns, as a person may have written them.

The first byte chooses what is read, the rest is its text. Behind a NUL follow arguments, also
separated by NUL, that are judged by what was read. Only the error that is documented may be raised.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from airlock_modules import (
    Grant,
    ModuleError,
    RuleError,
    Sandbox,
    builtin_options,
    builtin_text,
    describe_reading,
    evaluate,
    parse,
    parse_module,
    parse_options,
    review_module,
)
from airlock_modules.rules.glob import parse_glob
from airlock_modules.rules.rule import parse_plain_rule
from fuzz.target import BrokenPromiseError, Target, decode, require_one_line

_MAX_LENGTH = 8192


def _check_module(text: str, args: Sequence[str]) -> None:
    try:
        module = parse_module(text, name="tool", source="tool.toml")
    except ModuleError as error:
        _check_faults(error)
        return
    for fault in review_module(module):
        require_one_line(str(fault))
    for judged in (module, replace(module, sandbox=module.sandbox or Sandbox(box="none"))):
        grant = Grant(ceiling=("tool",), commands=(), modules={"tool": judged})
        decision = evaluate(grant, "tool", args)
        require_one_line(decision.message)
        if decision.allowed and judged.lacks_box:
            raise BrokenPromiseError("a module without a box runs its command")


def _check_options(text: str, args: Sequence[str]) -> None:
    try:
        table = parse_options(text, "options.toml")
    except ModuleError as error:
        _check_faults(error)
        return
    for line in describe_reading(parse(table, args)):
        require_one_line(line)


def _check_rule(text: str, _args: Sequence[str]) -> None:
    try:
        parse_plain_rule(text)
    except RuleError as error:
        require_one_line(str(error))


def _check_glob(text: str, args: Sequence[str]) -> None:
    try:
        pattern = parse_glob(text)
    except RuleError as error:
        require_one_line(str(error))
        return
    for argument in args:
        pattern.matches(argument)


def _check_faults(error: ModuleError) -> None:
    for fault in error.faults:
        require_one_line(str(fault))


_CHECKS = (_check_module, _check_options, _check_rule, _check_glob)


def _check(data: bytes) -> None:
    if not data:
        return
    text, *args = (decode(part) for part in data[1:].split(b"\0"))
    _CHECKS[data[0] % len(_CHECKS)](text.encode("utf-8", "replace").decode(), args)


def _make_seeds() -> tuple[bytes, ...]:
    modules = [builtin_text(name).encode() for name in ("ssh", "docker")]
    tables = [builtin_options(name).encode() for name in ("ssh", "git")]
    return (
        *(b"\0" + text + b"\0plan\0-o=v" for text in modules),
        *(b"\1" + text + b"\0plan\0-o=v\0--" for text in tables),
        b'\0[command]\nbin="t"\n[syntax]\nflags=["-a","-o VALUE"]\n[deny]\nargs=["-o=x*"]\0-ao\0x',
        b'\0[command]\nbin="t"\n[allow]\nargs=["push & --force","-v=/*:*"]\0push\0-v\0/:/',
        b"\2push & --force & -v={/*,[!a-z]?}",
        b"\3{a*,[!b-d]?e,{f,g}}*\0abc\0zeg",
    )


_WORDS = (
    *(b"[%s]\n" % name for name in (b"command", b"deny", b"allow", b"syntax", b"env", b"args")),
    *(b"[%s]\n" % name for name in (b"exec", b"allow.commands", b'commands."a b"')),
    *(b"%s = [" % name for name in (b"args", b"except", b"flags", b"value_flags", b"path_flags")),
    *(b"%s = [" % name for name in (b"global", b"everywhere", b"path_words", b"inherit", b"strip")),
    *(b"%s = true\n" % name for name in (b"open", b"abbreviations", b"interspersed")),
    *(b"%s = true\n" % name for name in (b"remote_command", b"concurrent")),
    *(b'style = "%s"\n' % style for style in (b"gnu", b"go", b"getopt")),
    *(b"subcommands = 2\n", b'words = "paths"\n', b'stops = "first-word"\n', b"timeout_s = 1e9\n"),
    *(b'"--[no-]x VALUE"', b'"-<number>"', b'"--x[=WHEN]"', b'"-f PATH..."', b'"-C CHDIR"'),
    *(b" & ", b"{!*,", b"[!a-z]", b"=*", b'"""', b"\\ud800", b"\\u0000", b"\xed\xa0\x80", b"\xff"),
)

TARGET = Target(check=_check, seeds=_make_seeds(), words=_WORDS, longest=_MAX_LENGTH)
"""Reading what a person wrote."""
