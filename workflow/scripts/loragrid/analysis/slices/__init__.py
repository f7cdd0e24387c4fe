"""How ways do on parts of the test questions: by metadata, length, references, and whether answers were cut off."""
