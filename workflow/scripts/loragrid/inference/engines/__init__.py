"""The engines, one in each file: what a configuration says about it, and how it answers. A new file here is a new engine."""
