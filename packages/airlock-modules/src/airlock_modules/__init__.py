"""Airlock's command modules, and the one evaluator that applies them.

This package defines the module file format, parses arguments, matches rules and judges requests.
Its only I/O is reading the modules that it ships; it knows nothing of the daemon or the protocol.

Subpackages, each using only those after it: `files` reads TOML, `rules` holds what a module denies
and allows, `reading` parses a tool's arguments. `remotes` covers git transports and ssh: their
requests, destinations and pushed refs. `apis` covers requests to APIs, `engine` calls of a docker
engine's API; import these and `files.api_profile` by name, since this package loads none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from airlock_modules.evaluator import Decision, Grant, Step, evaluate
from airlock_modules.files.builtins import (
    GIT_REMOTE,
    GIT_SIGN,
    builtin_names,
    builtin_options,
    builtin_security,
    builtin_text,
)
from airlock_modules.files.module_file import Module, load_builtin, narrow_module, parse_module
from airlock_modules.files.remote_tables import names_git_grant, read_git_grant
from airlock_modules.files.toml_reader import Fault, ModuleError, TableReader, is_name
from airlock_modules.files.variables import select_forwarded
from airlock_modules.remotes.destination import (
    Destination,
    Login,
    RemoteError,
    read_url_words,
)
from airlock_modules.remotes.git_protocol import (
    AdvertisementReader,
    FetchRequestReader,
    HelperReader,
    RemoteRequest,
    answer_helper,
)
from airlock_modules.remotes.grants import (
    DEFAULT_REFS,
    GitGrant,
    Place,
    SshGrant,
    covers_ref,
    find_place,
    read_place,
)
from airlock_modules.remotes.push import (
    PushList,
    PushReader,
    Refusal,
    Update,
    compose_report,
    judge_push,
)

from ._version import __version__

if TYPE_CHECKING:
    from airlock_modules.files.grammar_review import list_unseen
    from airlock_modules.files.option_files import load_options, parse_options
    from airlock_modules.files.review import find_secret_names, review_module, review_narrowing
    from airlock_modules.files.sandbox_table import PRESETS, Sandbox, read_presets, widen_network
    from airlock_modules.files.ssh_table import read_ssh_grant
    from airlock_modules.reading.description import describe_reading, dump_reading
    from airlock_modules.reading.grammar import parse
    from airlock_modules.reading.option_table import OptionTable
    from airlock_modules.reading.parsed import Flag, Parsed, PathUse, Piece, PlainReading
    from airlock_modules.remotes.hosts import HostLine, find_host, read_host_line
    from airlock_modules.remotes.session_words import Query, Session, read_session_words
    from airlock_modules.remotes.ssh_words import (
        asks_for_token,
        find_transport,
        name_transport,
        names_transport,
        read_ssh_words,
    )
    from airlock_modules.rules.grammar_rules import GrammarRules
    from airlock_modules.rules.rule import PlainRules, RuleError

__all__ = [
    "DEFAULT_REFS",
    "GIT_REMOTE",
    "GIT_SIGN",
    "PRESETS",
    "AdvertisementReader",
    "Decision",
    "Destination",
    "Fault",
    "FetchRequestReader",
    "Flag",
    "GitGrant",
    "GrammarRules",
    "Grant",
    "HelperReader",
    "HostLine",
    "Login",
    "Module",
    "ModuleError",
    "OptionTable",
    "Parsed",
    "PathUse",
    "Piece",
    "Place",
    "PlainReading",
    "PlainRules",
    "PushList",
    "PushReader",
    "Query",
    "Refusal",
    "RemoteError",
    "RemoteRequest",
    "RuleError",
    "Sandbox",
    "Session",
    "SshGrant",
    "Step",
    "TableReader",
    "Update",
    "__version__",
    "answer_helper",
    "asks_for_token",
    "builtin_names",
    "builtin_options",
    "builtin_security",
    "builtin_text",
    "compose_report",
    "covers_ref",
    "describe_reading",
    "dump_reading",
    "evaluate",
    "find_host",
    "find_place",
    "find_secret_names",
    "find_transport",
    "is_name",
    "judge_push",
    "list_unseen",
    "load_builtin",
    "load_options",
    "name_transport",
    "names_git_grant",
    "names_transport",
    "narrow_module",
    "parse",
    "parse_module",
    "parse_options",
    "read_git_grant",
    "read_host_line",
    "read_place",
    "read_presets",
    "read_session_words",
    "read_ssh_grant",
    "read_ssh_words",
    "read_url_words",
    "review_module",
    "review_narrowing",
    "select_forwarded",
    "widen_network",
]

# Names by module, loaded on first use: option tables, boxes, ssh's arguments, and what people read.
# A daemon that brokers git alone needs none of them.
_LOADED_LATER = {
    name: f"airlock_modules.{module}"
    for module, names in {
        "files.grammar_review": ("list_unseen",),
        "files.option_files": ("load_options", "parse_options"),
        "files.review": ("find_secret_names", "review_module", "review_narrowing"),
        "files.sandbox_table": ("PRESETS", "Sandbox", "read_presets", "widen_network"),
        "files.ssh_table": ("read_ssh_grant",),
        "reading.description": ("describe_reading", "dump_reading"),
        "reading.grammar": ("parse",),
        "reading.option_table": ("OptionTable",),
        "reading.parsed": ("Flag", "Parsed", "PathUse", "Piece", "PlainReading"),
        "remotes.hosts": ("HostLine", "find_host", "read_host_line"),
        "remotes.session_words": ("Query", "Session", "read_session_words"),
        "remotes.ssh_words": (
            "asks_for_token",
            "find_transport",
            "name_transport",
            "names_transport",
            "read_ssh_words",
        ),
        "rules.grammar_rules": ("GrammarRules",),
        "rules.rule": ("PlainRules", "RuleError"),
    }.items()
    for name in names
}


def __getattr__(name: str) -> object:
    if name not in _LOADED_LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LOADED_LATER[name]), name)
