"""The lock: exact versions and file hashes of everything that is installed here."""
