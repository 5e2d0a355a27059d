"""Model files from folded blocks, and the operations they are written from."""
