"""Pretrained models: imported, loaded, adapted."""
