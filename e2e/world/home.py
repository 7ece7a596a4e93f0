"""What a person who uses git has at home: a name, keys, and the hosts that they know."""

from .account import Account
from .keys import KeyPair

NAME = "Ada Example"
MAIL = "ada@example.org"


def furnish(account: Account, *, known_hosts: str) -> KeyPair:
    """Put git's settings and an SSH key into the account's home; return the key.

    `known_hosts` is the text of that file.
    """
    ssh = account.make_directory(account.home / ".ssh", mode=0o700)
    account.write(ssh / "known_hosts", known_hosts)
    if account.uid == 0:
        config = f"IdentityFile {ssh}/id_ed25519\nUserKnownHostsFile {ssh}/known_hosts\n"
        account.write(ssh / "config", config)
    settings = f"[user]\n\tname = {NAME}\n\temail = {MAIL}\n[init]\n\tdefaultBranch = main\n"
    account.write(account.home / ".gitconfig", settings)
    return add_key(account, "id_ed25519")


def ssh_command(account: Account) -> dict[str, str]:
    """Return the variable by which git's ssh finds that home, where it would look elsewhere.

    Root's real home is not the tests' to write to.
    """
    return {"GIT_SSH_COMMAND": "ssh -F ~/.ssh/config"} if account.uid == 0 else {}


def add_key(account: Account, name: str) -> KeyPair:
    """Make another key, `~/.ssh/NAME`."""
    key = KeyPair.make(account.home / ".ssh" / name)
    account.own(account.home / ".ssh")
    return key
