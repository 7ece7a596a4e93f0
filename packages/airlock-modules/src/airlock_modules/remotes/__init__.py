"""What git's transports ask of a remote, as pure data: where, which refs, and what is granted."""
