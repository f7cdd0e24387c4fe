"""What under `results/` the configuration does not ask for any more: told apart from what is of use, listed, removed."""
