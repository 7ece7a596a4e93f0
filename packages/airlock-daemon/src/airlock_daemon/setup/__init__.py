"""The files on disk, read and checked as a whole."""
