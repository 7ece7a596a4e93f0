"""git's conversations with remotes, for a git in a container that has no credential."""
