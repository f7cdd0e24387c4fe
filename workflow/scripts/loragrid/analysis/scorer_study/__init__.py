"""Scorers as objects of study: how they agree with each other, with people, and with the length of answers."""
