"""Command modules of Airlock, and the one evaluator that decides by them.

This package knows how a module file is written, how arguments are read, what a rule matches, and
in which order a request is judged. It does no I/O but reading the modules that it ships, and knows
nothing of the daemon or of the wire.
"""

from airlock_modules.decision import Decision, Grant, Step
from airlock_modules.description import describe_parsed, dump_parsed
from airlock_modules.errors import NotationError, RuleError
from airlock_modules.evaluator import evaluate
from airlock_modules.files.builtin_files import (
    builtin_names,
    builtin_options,
    builtin_security,
    builtin_text,
)
from airlock_modules.files.faults import Fault, ModuleError
from airlock_modules.files.forwarding import select_forwarded
from airlock_modules.files.module_file import Module, load_builtin, parse_module
from airlock_modules.files.option_files import load_options, parse_options
from airlock_modules.files.review import review_module, review_rules
from airlock_modules.files.toml_reader import TableReader
from airlock_modules.names import is_name
from airlock_modules.quoting import quote
from airlock_modules.reading.grammar import parse
from airlock_modules.reading.notation import FlagSpec
from airlock_modules.reading.option_table import OptionTable, Place
from airlock_modules.reading.parsed import ArgumentWord, Flag, Parsed, PathUse
from airlock_modules.reading.plain import Argument, Reading, read_arguments
from airlock_modules.rules.globs import Glob, parse_glob
from airlock_modules.rules.judgement import GrammarRules
from airlock_modules.rules.plain_rules import FlagPattern, Rule, Rules, Word, parse_rule

from ._version import __version__

__all__ = [
    "Argument",
    "ArgumentWord",
    "Decision",
    "Fault",
    "Flag",
    "FlagPattern",
    "FlagSpec",
    "Glob",
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
