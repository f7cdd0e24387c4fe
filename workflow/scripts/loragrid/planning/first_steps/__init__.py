"""The first experiment on a file of examples: what its columns are, what kind of work they show, and a configuration for it."""
