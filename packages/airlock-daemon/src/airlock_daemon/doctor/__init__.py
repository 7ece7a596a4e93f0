"""The world around the daemon: a file for each part of it that can be amiss."""
