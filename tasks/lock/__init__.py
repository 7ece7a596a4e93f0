"""The lock: exact versions, and the hashes of their files, of everything that is installed here."""
