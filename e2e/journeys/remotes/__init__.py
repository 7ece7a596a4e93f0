"""Commands of a git in a container whose remotes are reached through git-remote."""
