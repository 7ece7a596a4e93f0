"""All families of attacks."""

from e2e.hostile.attack import Family
from e2e.hostile.families import (
    boxes,
    claims,
    connections,
    crowd,
    full_table,
    leaving,
    not_requests,
    passed,
    passing,
    readers,
    sizes,
    stdin,
    terminals,
    wrong_params,
)

FAMILIES: tuple[Family, ...] = (
    not_requests.FAMILY,
    wrong_params.FAMILY,
    sizes.FAMILY,
    claims.FAMILY,
    boxes.FAMILY,
    leaving.FAMILY,
    readers.FAMILY,
    stdin.FAMILY,
    terminals.FAMILY,
    passing.FAMILY,
    passed.FAMILY,
    connections.FAMILY,
    crowd.FAMILY,
    full_table.FAMILY,
)
"""In the order in which they are carried out."""
