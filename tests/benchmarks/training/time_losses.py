"""Output layer and loss alone, forward and backward: time, memory and distance from float32.

`PYTHONPATH=workflow/scripts:tests python tests/benchmarks/training/time_losses.py --device cuda --shapes 1b,8b`
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.functional import cross_entropy as cross_entropy_of_torch
from torch.nn.functional import linear

from lab import SHAPES, Lab, lab_parser, open_lab, shapes_of
from loragrid.training.fused_loss import by_liger, by_operators, linear_cross_entropy
from loragrid.training.losses import cross_entropy

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes the states before the output layer, its weight, and the targets; gives the summed cross-entropy."""


def after_layer(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int) -> torch.Tensor:
    """All logits first."""
    return cross_entropy(linear(hidden, weight), targets, chunk)


def together(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int, kernel: Any) -> torch.Tensor:
    """Output layer and loss, chunk by chunk."""
    return linear_cross_entropy(hidden, weight, None, targets, chunk, kernel, hidden.dtype)


def by_ligers_own(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The fused output layer and loss of liger-kernel."""
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    result: torch.Tensor = LigerFusedLinearCrossEntropyLoss(reduction="sum")(weight, hidden, targets)
    return result


def contenders_on(device: torch.device) -> dict[str, Loss]:
    """The ways that there are, by name."""
    found: dict[str, Loss] = {}
    for exponent in (19, 24, 26, 28):
        found[f"all logits, loss in chunks of 2**{exponent}"] = partial(after_layer, chunk=2**exponent)
    for exponent in (26, 28):
        found[f"together, operators, chunks of 2**{exponent}"] = partial(together, chunk=2**exponent, kernel=by_operators)
    if device.type == "cuda":
        for exponent in (24, 26, 28):
            found[f"together, Liger's kernel, chunks of 2**{exponent}"] = partial(together, chunk=2**exponent, kernel=by_liger)
        found["Liger's fused output layer and loss"] = by_ligers_own
    return found


def compare(lab: Lab, shape: str, rows: int) -> None:
    """All ways on the sizes of one shape, with targets for so many rows."""
    width, vocabulary = SHAPES[shape]["hidden_size"], SHAPES[shape]["vocab_size"]
    torch.manual_seed(0)
    hidden = torch.randn(rows, width, device=lab.device, dtype=torch.bfloat16)
    weight = 0.02 * torch.randn(vocabulary, width, device=lab.device, dtype=torch.bfloat16)
    targets = torch.randint(vocabulary, (rows,), device=lab.device)
    exact, total = hidden.float().requires_grad_(), 0.0
    for start in range(0, rows, 1024):
        part = slice(start, start + 1024)
        loss = cross_entropy_of_torch(exact[part] @ weight.float().t(), targets[part], reduction="sum")
        loss.backward()
        total += loss.item()
    wanted = exact.grad
    assert wanted is not None

    def timed(loss: Loss) -> dict[str, Any]:
        def both() -> tuple[torch.Tensor, torch.Tensor]:
            states = hidden.detach().requires_grad_()
            found = loss(states, weight, targets)
            return found, torch.autograd.grad(found, states)[0]

        found, gradient = both()
        return {
            "ms": round(1000 * lab.seconds(both, times=5, warm_up=1), 2),
            "peak_gib": lab.peak_gib(),
            "loss_error": abs(float(found) - total) / total,
            "gradient_error": float((gradient.float() - wanted).norm() / wanted.norm()),
        }

    for name, loss in contenders_on(lab.device).items():
        lab.attempt(partial(timed, loss), shape=shape, loss=name, rows=rows)


def main() -> None:
    parser = lab_parser("time_losses.py", __doc__.partition("\n")[0], "1b,8b")
    parser.add_argument("--rows", type=int, default=4704, metavar="N", help="targets (default: %(default)s)")
    options = parser.parse_args()
    lab = open_lab("losses", options)
    for shape in shapes_of(options):
        compare(lab, shape, options.rows)


if __name__ == "__main__":
    main()
