"""Figures: specifications of Vega-Lite with the rows that they show, for the report's page and as files."""
