"""Words and labels: pure functions on text."""
