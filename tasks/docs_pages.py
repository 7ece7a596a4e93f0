"""Pages of the documentation site that are not in docs/, and links between all pages.

Files of the repository become pages named by PAGES. The command line's page is generated from the
programs' help, that of the files from the keys that they read, that of the refusals from the
sources. mkdocs calls the `on_` functions.
"""

import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tasks.docs_files import write_files_page
from tasks.docs_refusals import write_refusals_page

ROOT = Path(__file__).resolve().parent.parent
_MODULES = "packages/airlock-modules/src/airlock_modules/builtin"
_TOOLS = (
    *("git-remote", "git-sign", "git", "ssh", "aws", "terraform", "docker"),
    *("anthropic", "openai", "gh", "npm", "pypi", "kubectl", "google"),
)

PAGES = {
    "SECURITY.md": "security/index.md",
    "PROTOCOL.md": "reference/protocol.md",
    "CONTRIBUTING.md": "contributing.md",
    "conformance/README.md": "conformance.md",
    "docker/README.md": "reference/images.md",
    "packages/airlock-daemon/README.md": "reference/daemon.md",
    "packages/airlock-modules/README.md": "reference/modules.md",
    "packages/airlock-shim/README.md": "reference/shim.md",
    **{f"{_MODULES}/{tool}/SECURITY.md": f"security/{tool}.md" for tool in _TOOLS},
}
"""Files of the repository, and their paths on the site."""

# Links to these folders lead to a README.md in the repository, which is a page here.
_FOLDERS = {posixpath.dirname(path): path for path in PAGES if path.endswith("README.md")}
_LINK = re.compile(r"\[((?:`[^`]*`|[^\]\[])+)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^ *(```|~~~)")
_NESTED = re.compile(r"^  [-*] ", re.MULTILINE)
_INDENT = re.compile(r"^(  )+(?=[^ |`])")
_COMMAND = re.compile(r"^  ([a-z]+) ", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/, and the generated ones."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text("utf-8")))
    files.append(File.generated(config, "reference/cli.md", content=_write_cli_page()))
    files.append(File.generated(config, "reference/files.md", content=write_files_page()))
    files.append(File.generated(config, "reference/refusals.md", content=write_refusals_page()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Rewrite a page's links to pages; a link to a file that is no page becomes its text."""
    uri = page.file.src_uri
    known = {uri: path for path, uri in PAGES.items()}
    here = posixpath.dirname(known.get(uri, f"docs/{uri}"))
    parts: list[tuple[bool, str]] = []
    is_code = False
    is_nested = bool(_NESTED.search(markdown))
    for line in markdown.split("\n"):
        is_code ^= bool(_FENCE.match(line))
        if is_nested and not is_code:
            # GitHub indents nested lists by 2, Python's Markdown by 4.
            line = _INDENT.sub(lambda found: 2 * found[0], line)  # noqa: PLW2901
        parts.append((is_code, line))
    shown = []
    for is_code, run in groupby(parts, itemgetter(0)):
        # The text of a link may be on two lines.
        text = "\n".join(line for _, line in run)
        shown.append(text if is_code else _LINK.sub(lambda found: _lead(found, here, uri), text))
    return "\n".join(shown)


def _lead(found: "re.Match[str]", here: str, uri: str) -> str:
    text, target = found.groups()
    if "://" in target or target.startswith(("#", "mailto:")):
        return found[0]
    path, mark, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(here, path))
    path = _FOLDERS.get(path, path)
    if path in PAGES:
        leads_to = PAGES[path]
    elif path.startswith("docs/") and (ROOT / path).is_file():
        leads_to = path.removeprefix("docs/")
    elif (ROOT / path).exists():
        return text
    else:
        # mkdocs reports it and fails.
        return found[0]
    return f"[{text}]({posixpath.relpath(leads_to, posixpath.dirname(uri) or '.')}{mark}{anchor})"


def _write_cli_page() -> str:
    return "\n".join(("# Command line", "", *_write_commands()))


def _write_commands() -> Iterator[str]:
    yield "What the programs print for `--help`."
    for words in _list_commands():
        yield f"\n## {' '.join(words)}\n\n```text\n{_ask_help(words)}\n```"


def _list_commands() -> Iterator[tuple[str, ...]]:
    daemon = ("airlock",)
    yield daemon
    for name in _list_below(daemon):
        yield (*daemon, name)
        for inner in _list_below((*daemon, name)):
            yield (*daemon, name, inner)
    yield ("airlock-shim",)


def _list_below(words: tuple[str, ...]) -> list[str]:
    _, _, commands = _ask_help(words).partition("\nCommands:\n")
    return _COMMAND.findall(commands)


def _ask_help(words: tuple[str, ...]) -> str:
    program, *rest = words
    path = os.path.join(os.path.dirname(sys.executable), program)
    done = subprocess.run(
        [path, *rest, "--help"],
        env={"PATH": os.defpath, "HOME": "/nonexistent", "COLUMNS": "90", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.rstrip()
