"""From rows to examples, data sets, mixes, prompts and tokens."""
