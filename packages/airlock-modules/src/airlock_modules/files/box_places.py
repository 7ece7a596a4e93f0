"""Paths in a box: which are its own, and which of the host are known to hold credentials."""

import os

_KERNELS = ("/proc", "/dev", "/sys", "/run", "/var/run")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_OWN = (*_KERNELS, *_SYSTEM, "/etc", "/tmp", "/home/airlock")  # noqa: S108
_SECRET = (
    *("~/.ssh", "~/.aws", "~/.azure", "~/.config/gcloud", "~/.config/gh", "~/.docker", "~/.kube"),
    *("~/.gnupg", "~/.netrc", "~/.git-credentials", "~/.config/git/credentials", "~/.npmrc"),
    *("~/.pypirc", "~/.terraform.d/credentials.tfrc.json", "~/.password-store", "~/.vault-token"),
    *("/root", "/etc/shadow", "/etc/ssh", "/etc/ssl/private"),
)


def is_plain(path: str) -> bool:
    """Whether it is absolute, or from a home on with `~/`, in its normal form, and no root."""
    plain = path.removeprefix("~")
    return plain.startswith("/") and os.path.normpath(plain) == plain and plain != "/"


def is_within(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or below it, as it is written."""
    return f"{path}/".startswith(f"{directory}/")


def is_own(path: str) -> bool:
    """Whether a box has something of its own in the place of `path` or in it."""
    return any(is_within(place, path) for place in _OWN) or any(
        is_within(path, place) for place in _KERNELS
    )


def is_secret(path: str) -> bool:
    """Whether `path` of the host is, holds or lies in a place where tools keep credentials."""
    return any(is_within(path, place) or is_within(place, path) for place in _SECRET)
