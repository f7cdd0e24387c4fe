"""An evaluation as a log of Inspect (inspect_ai), which its viewer opens."""
