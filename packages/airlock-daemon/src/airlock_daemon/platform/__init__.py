"""What an operating system does in its own way."""
