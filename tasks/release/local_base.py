"""A base for the daemon's image where no registry is reachable.

It is the end-to-end tests' Debian, made by ``mmdebstrap`` from this machine's apt mirror. Run as a
module in the default environment, it prints the image's name.
"""

from e2e.world.images import bootstrap_debian
from e2e.world.product import BASE_PACKAGES


def make_local_base() -> str:
    """Make the image if it is missing, and return its name; needs Debian, root and Docker."""
    return bootstrap_debian("airlock-e2e/python", packages=BASE_PACKAGES)


if __name__ == "__main__":
    print(make_local_base())
