"""End-to-end tests: real containers, a real sshd, and the daemon as a real process on this host."""
