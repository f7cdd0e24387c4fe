"""Corrections of libraries, each with the reason, a guard on the version, and when it can go."""
