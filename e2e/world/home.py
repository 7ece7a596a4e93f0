"""The home of a git user: a name, keys, and known hosts."""

from .account import Account
from .keys import KeyPair

NAME = "Ada Example"
MAIL = "ada@example.org"


def furnish(account: Account, *, known_hosts: str) -> KeyPair:
    """Write git's settings, an SSH key and the text `known_hosts` to the home; return the key."""
    ssh = account.make_directory(account.home / ".ssh", mode=0o700)
    account.write(ssh / "known_hosts", known_hosts)
    if account.uid == 0:
        config = f"IdentityFile {ssh}/id_ed25519\nUserKnownHostsFile {ssh}/known_hosts\n"
        account.write(ssh / "config", config)
    settings = f"[user]\n\tname = {NAME}\n\temail = {MAIL}\n[init]\n\tdefaultBranch = main\n"
    account.write(account.home / ".gitconfig", settings)
    return add_key(account, "id_ed25519")


def ssh_command(account: Account) -> dict[str, str]:
    """Return the variable that points git's ssh to that home, if it would use another.

    The tests must not write to root's real home.
    """
    return {"GIT_SSH_COMMAND": "ssh -F ~/.ssh/config"} if account.uid == 0 else {}


def add_key(account: Account, name: str) -> KeyPair:
    """Create another key, `~/.ssh/NAME`."""
    key = KeyPair.make(account.home / ".ssh" / name)
    account.own(account.home / ".ssh")
    return key
