"""The table of the study: one table for a paper, a page or a screen, from the table of all ways."""
