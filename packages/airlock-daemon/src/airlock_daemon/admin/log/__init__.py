"""Reading the audit log, with or without a daemon that writes it: lines, chain, counts."""
