"""Ways that are chosen on validation data and reported on test data."""
