"""Reading what a profile grants of APIs: the tables `[NAME]` of modules, and `[api.NAME]`."""

import re
from collections.abc import Mapping

from airlock_modules import GitGrant, Module, TableReader
from airlock_modules.files.api_profile import Granted, grant_apis, read_own_apis

_REPOSITORY = re.compile(
    r"(?:(?:ssh|https)://)?(?:[^@/]*@)?github\.com/([^/]+/[^/]+?)(?:\.git)?/?", re.IGNORECASE
)


def read_apis(
    table: TableReader, named: Mapping[str, Module], git: GitGrant, variables: Mapping[str, str]
) -> tuple[dict[str, Granted], tuple[Granted, ...]]:
    """Read the grants of the modules `named`, and the profile's own.

    `variables` are those of the profile.
    """
    repositories = find_repositories(git)
    granted = {
        name: grant_apis(
            module.apis,
            module.clients,
            table.table(name),
            repositories=repositories,
            environment=variables,
        )
        for name, module in named.items()
    }
    return granted, read_own_apis(table)


def find_repositories(git: GitGrant) -> tuple[str, ...]:
    """The repositories of github.com that an agent may push to, as `OWNER/NAME`."""
    found = (_REPOSITORY.fullmatch(place.text) for place in git.push)
    return tuple(dict.fromkeys(each[1].replace("**", "*") for each in found if each is not None))
