"""Whether finished and unfinished work is still as its jobs left it."""
