"""Files of a workspace that the human's own tools would run or obey on the host."""
