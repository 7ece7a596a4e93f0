"""Command modules of Airlock, and the one evaluator that decides by them.

This package knows how a module file is written, how arguments are read, what a rule matches, and
in which order a request is judged. It does no I/O but reading the modules that it ships, and knows
nothing of the daemon or of the wire.
"""

from ._version import __version__
from .arguments import Argument, Reading, read_arguments
from .builtin_files import builtin_names, builtin_options, builtin_security, builtin_text
from .builtins import load_builtin
from .decision import Decision, Grant, Step
from .errors import GlobError, ModuleError, NotationError, RuleError
from .evaluator import evaluate
from .explanation import describe_parsed, dump_parsed
from .faults import Fault
from .forwarding import select_forwarded
from .globs import Glob, parse_glob
from .grammar import parse
from .judgement import GrammarRules
from .module_file import Module, parse_module
from .names import is_name
from .notation import FlagSpec
from .option_table import OptionTable, Place
from .options import load_options, parse_options
from .parsed import ArgumentWord, Flag, Parsed, PathUse
from .review import review_module, review_rules
from .rules import FlagPattern, Rule, Rules, Word, parse_rule
from .toml_reader import TableReader

__all__ = [
    "Argument",
    "ArgumentWord",
    "Decision",
    "Fault",
    "Flag",
    "FlagPattern",
    "FlagSpec",
    "Glob",
    "GlobError",
    "GrammarRules",
    "Grant",
    "Module",
    "ModuleError",
    "NotationError",
    "OptionTable",
    "Parsed",
    "PathUse",
    "Place",
    "Reading",
    "Rule",
    "RuleError",
    "Rules",
    "Step",
    "TableReader",
    "Word",
    "__version__",
    "builtin_names",
    "builtin_options",
    "builtin_security",
    "builtin_text",
    "describe_parsed",
    "dump_parsed",
    "evaluate",
    "is_name",
    "load_builtin",
    "load_options",
    "parse",
    "parse_glob",
    "parse_module",
    "parse_options",
    "parse_rule",
    "read_arguments",
    "review_module",
    "review_rules",
    "select_forwarded",
]
