"""What was tried against each promise, what came of it, and the page that says so."""
