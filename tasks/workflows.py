"""Offline checks of a repository's workflows."""

from collections.abc import Iterator
from pathlib import Path

from tasks.environment import Environment

_SCHEMAS = {
    "vendor.github-workflows": ("workflows/*.yml", "workflows/*.yaml"),
    "vendor.dependabot": ("dependabot.yml",),
    "vendor.github-issue-config": ("ISSUE_TEMPLATE/config.yml",),
    "vendor.github-issue-forms": ("ISSUE_TEMPLATE/[!c]*.yml",),
}
"""Names of schemas bundled with check-jsonschema, and the files that they describe."""


def list_workflow_checks(environment: Environment, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a name and a command for each check of ``folder``, a repository's ``.github``.

    The schemas check whether it can run at all; zizmor, whether it would give its rights to others:
    unpinned actions, external text in scripts, persisted credentials, wide permissions.
    """
    for schema, patterns in _SCHEMAS.items():
        files = sorted(str(path) for pattern in patterns for path in folder.glob(pattern))
        if files:
            command = [str(environment.find("check-jsonschema")), "--builtin-schema", schema]
            yield f"schema {schema.removeprefix('vendor.')}", [*command, *files]
    command = [str(environment.find("zizmor")), "--offline", "--no-progress", "--persona=pedantic"]
    yield "zizmor", [*command, str(folder)]
