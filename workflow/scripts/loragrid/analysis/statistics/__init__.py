"""Statistics of conclusions, on arrays alone: intervals, families of them, equivalence, power, and means over tasks."""
