"""All families of attacks out of boxes."""

from e2e.canary.attack import Family
from e2e.canary.boxes.families import (
    approvals,
    around,
    bounds,
    classes,
    directory,
    docker,
    egress,
    environment,
    files,
    git,
    home,
    kernel,
    network,
    processes,
    terminal,
)

BOX_FAMILIES: tuple[Family, ...] = (
    files.FAMILY,
    processes.FAMILY,
    kernel.FAMILY,
    network.FAMILY,
    environment.FAMILY,
    terminal.FAMILY,
    directory.FAMILY,
    home.FAMILY,
    git.FAMILY,
    around.FAMILY,
    bounds.FAMILY,
    egress.FAMILY,
    docker.FAMILY,
    classes.FAMILY,
    approvals.FAMILY,
)
"""In the order in which they are carried out."""
