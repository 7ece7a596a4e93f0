"""`airlock doctor`: checks of the world around the daemon; `checks` has their table."""
