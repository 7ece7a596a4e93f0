"""Two releases, rehearsed: each channel installs this checkout's, and is upgraded to the next."""
