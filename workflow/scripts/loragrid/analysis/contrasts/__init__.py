"""Which ways of specialising a model there are, how far two of them differ, and what may be said of it."""
