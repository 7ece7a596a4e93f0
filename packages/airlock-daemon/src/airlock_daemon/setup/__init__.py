"""What is on disk, read and checked as a whole."""
