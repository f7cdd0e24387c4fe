"""What a script of the workflow imports at its top: `imports.py SCRIPT` runs these imports, and nothing else of it."""

import ast
import json
import sys
import time
from pathlib import Path

LARGE = ("torch", "transformers", "peft", "accelerate", "pandas", "pyarrow", "sentence_transformers", "scipy", "sklearn")

tree = ast.parse(Path(sys.argv[1]).read_text(encoding="utf-8"))
tree.body = [statement for statement in tree.body if isinstance(statement, ast.Import | ast.ImportFrom)]
started, before = time.perf_counter(), len(sys.modules)
exec(compile(tree, sys.argv[1], "exec"))
took = time.perf_counter() - started
large = [name for name in LARGE if name in sys.modules]
print(json.dumps({"imports_s": took, "modules": len(sys.modules) - before, "large": large}))
