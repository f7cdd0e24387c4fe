"""A pytest plugin: each failure is written at once, so that nothing is lost where a run is ended."""

import json
import os
from pathlib import Path
from typing import Any


def pytest_runtest_logreport(report: Any) -> None:
    """Add a line with the end of the traceback."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    with Path(os.environ["TOLD"]).open("a", encoding="utf-8") as file:
        if report.failed:
            text = report.longreprtext.splitlines()
            why = [line[2:].strip() for line in text if line.startswith("E ")][:4]
            places = [line for line in text if line.startswith(("tests/", "workflow/", "/"))][-2:]
            line = {"part": "unit", "test": report.nodeid, "when": report.when, "why": why or text[-3:], "at": places}
            file.write(json.dumps(line) + "\n")
        elif report.when == "call":
            file.write(json.dumps({"part": "unit", "passed": report.nodeid, "s": round(report.duration, 1)}) + "\n")
