"""Chat templates in transformers 5, with limits: they come with a model, and may ask for any amount of memory and time.

transformers fills them in a sandbox of Jinja, which keeps them from the program but lets `'x' * 10**10` be. The patch can go when
transformers bounds what a template makes.
"""

from __future__ import annotations

from typing import Any


def fill_chat_templates_in(environment: type[Any]) -> None:
    """From now on, chat templates are compiled in this environment of Jinja instead of the usual sandbox.

    Raises:
        AttributeError: if transformers has its sandbox elsewhere.
    """
    from transformers.utils import chat_template_utils as module

    if module.ImmutableSandboxedEnvironment is not environment:
        module.ImmutableSandboxedEnvironment = environment
        # Templates that were compiled before have no limits.
        if hasattr(module._compile_jinja_template, "cache_clear"):
            module._compile_jinja_template.cache_clear()
