"""What makes a message in the source: which calls, and which of their arguments are what of it."""

from collections.abc import Mapping
from typing import NamedTuple


class Form(NamedTuple):
    """The names of the arguments by position, and which are place, cause and remedy.

    `kind` is what the catalogue calls it, if not by what is called, and `begins` goes before.
    """

    arguments: tuple[str, ...]
    place: tuple[str, ...] = ()
    cause: str = "message"
    remedy: str = "hint"
    kind: str = ""
    begins: str = ""


ERROR = Form(("message",))
LEVELS = ("error", "exception", "info", "warning")
_FAULT = Form(("source", "key", "problem", "remedy"), ("source", "key"), "problem", "remedy")
_TEXT = Form(("message",), remedy="")
_PARAMS = Form(("path", "problem"), ("path",), "problem", "", "invalid_params")
_UNLIKE = Form(("raw", "path", "expected"), ("path",), "expected", "", "invalid_params", "must be ")
# By the name of what is called, with that of the module before it where that alone means it so.
FORMS: Mapping[str, Form] = {
    **dict.fromkeys(("AirlockError", "BadDescriptors", "Failed", "UnknownCommand"), ERROR),
    **dict.fromkeys(("Unmapped", "failed", "invalid_request", "parse_error"), ERROR),
    "say": Form(("message", "hint")),
    **dict.fromkeys(("Denied", "denied"), Form(("message",), ("layer", "rule"), kind="Denied")),
    "Decision": Form((), ("layer",)),
    "_refuse": Form((), ("rule",), "why", "", "Verdict", "... is refused: "),
    "Verdict": Form((), (), "detail", "", "Step"),
    "verdict.Verdict": Form((), (), "workspace", "", "Step"),
    "Step": Form(("layer", "verdict", "detail"), ("layer", "verdict"), "detail", ""),
    **dict.fromkeys(("Fault", "Finding"), _FAULT),
    "fault": _FAULT._replace(
        arguments=("key", "problem", "remedy"), place=("{file}", "key"), kind="Fault"
    ),
    **dict.fromkeys(
        ("Note", "Problem"),
        Form(("source", "problem", "remedy"), ("source",), "problem", "remedy", "Finding"),
    ),
    "Obstacle": Form(("reason", "remedy"), (), "reason", "remedy"),
    "Remark": Form(("kind", "file", "line", "message"), ("file",), remedy=""),
    "wrong": _PARAMS,
    "unlike": _UNLIKE,
    "read": _UNLIKE._replace(arguments=("raw", "path", "decode", "expected")),
    **dict.fromkeys(("BadParameter", "BinaryError", "HookFault", "LinkError"), _TEXT),
    **dict.fromkeys(("LocalProtocolError", "NotationError", "RuleError", "ValueError"), _TEXT),
    **dict.fromkeys(("FileNotFoundError", "OSError"), Form(("number", "message"), remedy="")),
    **dict.fromkeys(("echo", "print"), _TEXT._replace(kind="line")),
    **dict.fromkeys(LEVELS, _TEXT._replace(kind="log")),
}
