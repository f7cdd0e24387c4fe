"""The configuration of an experiment: all sections together, checked."""
