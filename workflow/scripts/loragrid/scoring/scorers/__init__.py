"""The scorers, one in each file: what a configuration says about it, and how it scores answers. A new file here is a new scorer."""
