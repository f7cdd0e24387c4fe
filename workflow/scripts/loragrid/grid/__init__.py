"""What the configuration expands into."""
