"""The scorers, one in each file: what a configuration says of it, and how it scores answers. A new file is a new scorer."""
