"""What in a workspace the human's own tools would run or obey on the host."""
