"""From a model and test examples to predictions."""
