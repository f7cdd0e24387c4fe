"""The final scores and verdicts of an experiment, in the trackers that have followed its trainings."""
