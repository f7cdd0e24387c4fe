"""The report: one page that holds its tables, figures and answers."""
