"""What was released so far."""
