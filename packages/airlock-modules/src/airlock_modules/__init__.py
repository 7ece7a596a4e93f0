"""Command modules of Airlock, and the one evaluator that decides by them.

This package knows how a module file is written, how arguments are read, what a rule matches, and
in which order a request is judged. It does no I/O but reading the modules that it ships, and knows
nothing of the daemon or of the wire.
"""

from ._version import __version__
from .arguments import Argument, Reading, read_arguments
from .builtins import builtin_names, builtin_security, builtin_text, load_builtin
from .decision import Decision, Grant, Step
from .errors import GlobError, ModuleError, RuleError
from .evaluator import evaluate
from .faults import Fault
from .globs import Glob, parse_glob
from .module_file import Module, parse_module
from .names import is_name
from .quoting import quote
from .rules import FlagPattern, Rule, Rules, Word, parse_rule
from .toml_reader import TableReader

__all__ = [
    "Argument",
    "Decision",
    "Fault",
    "FlagPattern",
    "Glob",
    "GlobError",
    "Grant",
    "Module",
    "ModuleError",
    "Reading",
    "Rule",
    "RuleError",
    "Rules",
    "Step",
    "TableReader",
    "Word",
    "__version__",
    "builtin_names",
    "builtin_security",
    "builtin_text",
    "evaluate",
    "is_name",
    "load_builtin",
    "parse_glob",
    "parse_module",
    "parse_rule",
    "quote",
    "read_arguments",
]
