"""Pictures in the documentation of what the programs print, made from what they do print."""
