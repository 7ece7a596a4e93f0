"""The page on the files has what the READMEs show of them."""

import tomllib
from collections.abc import Iterator, Mapping

import pytest
from tasks.blocks import list_blocks
from tasks.docs_files import write_files_page

READMES = {
    "packages/airlock-daemon/README.md": ("[commands]", "commands = "),
    "packages/airlock-modules/README.md": ("[command]", "[syntax]"),
}
"""Pages, and how the files begin that they show as a whole."""
CHOSEN = {"set", "mounts", "commands"}
"""Tables whose keys are a person's own."""
NAMED = {
    *("allow.commands", "deny", "credentials.files", "credentials.env", "network"),
    *("api.NAME.env", "client.env"),
}
"""Those whose keys are commands, paths or variables, of which the page has one."""


def list_keys(table: Mapping[str, object], path: str = "") -> Iterator[str]:
    """Yield `[table] | key` for each key, as the page has it."""
    for key, value in table.items():
        inner = f"{path}.{'NAME' if path == 'api' else key}".lstrip(".")
        if isinstance(value, dict) and (key not in CHOSEN or path == ""):
            yield from list_keys(value, inner)
        elif path not in NAMED:
            yield f"| {f'`[{path}]`' if path else ''} | `{key}` |"


@pytest.mark.parametrize("readme", READMES)
def test_each_key_that_a_readme_shows_is_on_the_page(readme: str) -> None:
    """In the table where it stands."""
    page = write_files_page()
    shown = {
        key
        for block in list_blocks(readme)
        if block.language == "toml" and block.text.startswith(READMES[readme])
        for key in list_keys(tomllib.loads(block.text))
    }
    assert len(shown) > 10
    assert [key for key in shown if key not in page] == []


def test_a_key_that_nothing_reads_is_not_on_the_page() -> None:
    """Nor are the option tables of built-in modules, which are read while a profile is."""
    page = write_files_page()
    assert '`[log]` | `on_error` | "deny" or "warn" | `deny` |' in page
    assert "| `[limits]` | `running` | integer | `64` | 1 to 10000 |" in page
    for absent in ("stops", "everywhere", "bisect"):
        assert absent not in page
