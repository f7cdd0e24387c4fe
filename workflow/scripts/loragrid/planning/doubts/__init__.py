"""Results of earlier versions that a fault may have touched which has been mended since."""
