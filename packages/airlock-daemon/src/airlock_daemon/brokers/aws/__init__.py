"""Keys of AWS, for the tool of a box that has them neither in a file nor in a variable."""
