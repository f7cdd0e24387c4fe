"""The jobs of each stage: which the grid wants, what each of them reads, and what it is told."""
