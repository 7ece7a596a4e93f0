"""Network of a box: destinations by name and port, over CONNECT, byte for byte."""
