"""What a box reaches by itself: destinations by name and port, over CONNECT, byte for byte."""
