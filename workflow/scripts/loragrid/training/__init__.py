"""From a model and a mix to an adapter."""
