"""Files of rows, one idea a file: what is cut into chunks, and how a chunk is read."""
