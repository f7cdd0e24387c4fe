"""From all scores to tables, figures and the report."""
