"""The option table of an imaginary tool."""

from pathlib import Path

from airlock_modules import parse_options

TEXT = Path(__file__).with_name("tool_options.toml").read_text(encoding="utf-8")
TABLE = parse_options(TEXT, "tool_options.toml")
