"""All families of attacks out of boxes."""

from e2e.canary.attack import Family
from e2e.canary.boxes.families import environment, files, kernel, network, processes

BOX_FAMILIES: tuple[Family, ...] = (
    files.FAMILY,
    processes.FAMILY,
    kernel.FAMILY,
    network.FAMILY,
    environment.FAMILY,
)
"""In the order in which they are carried out."""
