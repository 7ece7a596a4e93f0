"""An image to start the daemon's from where no registry can be reached.

It is the Debian that the end-to-end tests use, which ``mmdebstrap`` makes from the mirror that this
machine's apt knows. Run as a module in the default environment, it prints the image's name.
"""

from e2e.world.images import bootstrap_debian
from e2e.world.product import BASE_PACKAGES


def make_local_base() -> str:
    """Make the image if it is missing, and return its name; needs Debian, root and Docker."""
    return bootstrap_debian("airlock-e2e/python", packages=BASE_PACKAGES)


if __name__ == "__main__":
    print(make_local_base())
