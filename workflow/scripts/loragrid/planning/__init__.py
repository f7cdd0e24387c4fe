"""What a grid will cost, and which results it no longer needs."""
