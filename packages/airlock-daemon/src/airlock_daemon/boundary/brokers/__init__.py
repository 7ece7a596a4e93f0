"""What needs a credential, and sees no workspace: the daemon does it, in words of its own."""
