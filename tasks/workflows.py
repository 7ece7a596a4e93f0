"""What the workflows of a repository are held against, without asking anybody on the network."""

from collections.abc import Iterator
from pathlib import Path

from tasks.environment import Environment

_SCHEMAS = {
    "vendor.github-workflows": ("workflows/*.yml", "workflows/*.yaml"),
    "vendor.dependabot": ("dependabot.yml",),
}
"""Names that check-jsonschema has for schemas that it brings with it, and what they describe."""


def list_workflow_checks(environment: Environment, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a name and a command for each check of ``folder``, a repository's ``.github``.

    The schemas say whether it can run at all; zizmor, whether it would hand its rights to others:
    unpinned actions, text from outside in scripts, credentials that stay behind, wide permissions.
    """
    for schema, patterns in _SCHEMAS.items():
        files = sorted(str(path) for pattern in patterns for path in folder.glob(pattern))
        if files:
            command = [str(environment.find("check-jsonschema")), "--builtin-schema", schema]
            yield f"schema {schema.removeprefix('vendor.')}", [*command, *files]
    command = [str(environment.find("zizmor")), "--offline", "--no-progress", "--persona=pedantic"]
    yield "zizmor", [*command, str(folder)]
