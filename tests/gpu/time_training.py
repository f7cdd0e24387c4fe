"""Tokens a second, share of the matrix peak and memory of LoRA training: TRL with Liger kernels, the library, and prototypes.

Every contender passes over the examples twice; the second pass counts.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "training"))

import contenders
import prototypes
import torch
from accelerate import Accelerator
from lab import PAD, SHAPES, Lab, begin, examples_of, make_adapted, parameters_of, preload, release
from prototypes import FlatAdapter, GraphedSteps, elementwise_kernels, head_loss, make_row, row_loss, use_varlen

from loragrid.training import gradients, loop, losses
from loragrid.training.batches import Encoded, pack
from loragrid.training.methods import LoraTraining
from loragrid.training.schedule import steps_of
from loragrid.training.settings import Seeds

SEEDS = Seeds(adapter_init=1, data_order=1, mix=1)
MAX_TOKENS = 8192


class Way(NamedTuple):
    """How a contender trains."""

    loop: str = "library"
    """`library`, `lean` (no host synchronisation, fused AdamW), `flat` (that with a flat adapter) or `graph`."""
    chunk: int = 0
    """Logits at a time; 0: the library's own number."""
    varlen: bool = False
    elementwise: bool = False
    loss: str = ""
    """Another loss, of `prototypes.head_loss`."""
    compiled: bool = False
    packing: str = "auto"
    share: float = 1.0
    """Of the examples; less for what is slow."""


BIG = 2**28
FAST = Way(chunk=BIG, varlen=True)
WAYS = {
    "as it is": Way(share=1 / 3),
    "packing: on": Way(packing="on", chunk=BIG, share=1 / 3),
    "big chunks": Way(chunk=BIG),
    "+ varlen": FAST,
    "+ varlen, elementwise": FAST._replace(elementwise=True),
    "+ varlen, elementwise, Liger's fused loss": FAST._replace(elementwise=True, loss="liger"),
    "+ varlen, elementwise, Liger's fused loss, 16 x chunks": FAST._replace(elementwise=True, loss="liger 16"),
    "+ varlen, elementwise, own fused loss": FAST._replace(elementwise=True, loss="linear triton"),
    "lean loop, own fused loss": FAST._replace(loop="lean", elementwise=True, loss="linear triton"),
    "flat adapter, own fused loss": FAST._replace(loop="flat", elementwise=True, loss="linear triton"),
    "CUDA graph": FAST._replace(loop="graph", elementwise=True, loss="linear triton"),
    "+ varlen, compiled layers": FAST._replace(compiled=True),
    "flat adapter, compiled layers": FAST._replace(loop="flat", compiled=True, loss="linear triton"),
    "CUDA graph, compiled layers": FAST._replace(loop="graph", compiled=True, loss="linear triton"),
}


class Passes(NamedTuple):
    """What two passes over the examples took."""

    first_s: float
    second_s: float
    steps: list[float]
    """Seconds of the steps of the second pass, where they were timed."""
    loss: float
    """Mean training loss of the first pass."""
    more: Mapping[str, Any] = {}


class HeadLoss(losses.SummedLoss):
    """The library's module with output layer and loss in one."""

    kind = ""

    def _keep_predicting(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        self.hidden = inputs[0][0]
        return (torch.zeros_like(inputs[0][:, :1]),)

    def forward(self, batch: Any) -> torch.Tensor:
        place = batch.predicting[0].nonzero()[:, 0]
        with mock.patch.object(losses, "summed_cross_entropy", self._loss(place)):
            return super().forward(batch)

    def _loss(self, place: torch.Tensor) -> Any:
        def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            weight = self.model.get_base_model().lm_head.weight
            with torch.autocast(logits.device.type, self.dtype):
                return head_loss(self.kind, self.hidden.index_select(0, place), weight, targets)

        return loss


@contextlib.contextmanager
def changed(model: Any, way: Way) -> Iterator[None]:
    """The library with what a way asks for."""
    with contextlib.ExitStack() as changes:
        if way.chunk:
            changes.enter_context(mock.patch.object(losses, "_CHUNK", way.chunk))
        if way.loss and way.loop == "library":
            HeadLoss.kind = way.loss
            changes.enter_context(mock.patch.object(loop, "SummedLoss", HeadLoss))
        changes.enter_context(elementwise_kernels(model.get_base_model(), way.elementwise))
        if way.varlen:
            use_varlen(model)
            device = next(model.parameters()).device

            def of_row(model: Any, sections: Sequence[int]) -> dict[str, Any]:
                bounds = torch.tensor([0, *sections[1:]]).cumsum(0).to(torch.int32)
                prototypes._Rows.bounds = bounds.to(device)
                return {}

            changes.enter_context(mock.patch.object(losses, "of_row", of_row))
        if way.compiled:
            torch._dynamo.reset()
            for layer in model.get_base_model().model.layers:
                layer.compile(dynamic=True)
        yield


def config_of(batch: int, way: Way, epochs: int) -> LoraTraining:
    return LoraTraining(
        batch_size=batch,
        learning_rate=2e-4,
        max_grad_norm=1.0,
        schedule="constant",
        evaluations=0,
        epochs=epochs,
        packing=way.packing,
        micro_batch_tokens=MAX_TOKENS,
        weight_decay=0.0,
    )


def layout_of(model: Any, way: Way, config: LoraTraining, device: torch.device) -> gradients.Layout:
    if way.varlen:
        return gradients.Layout(MAX_TOKENS, packed=True, pad=PAD)
    return gradients.choose_layout(model, config, device, PAD)


Follow = Callable[[int], None]
"""Is called after each step with its number, counted through both passes."""


def library_loop(lab: Lab, model: Any, encoded: Sequence[Encoded], batch: int, way: Way, follow: Follow | None = None) -> Passes:
    """`loop.train`."""
    config = config_of(batch, way, epochs=2)
    layout = layout_of(model, way, config, lab.device)
    clock = contenders.Clock(lab.device)

    def lap(row: loop.Progress) -> None:
        if follow:
            follow(row.step)
        elif row.step:
            clock.lap()
        else:
            clock.start()

    learner = loop.make_learner(model, config, layout, Accelerator(cpu=lab.device.type == "cpu"), torch.bfloat16)
    course = loop.train(learner, encoded, [], SEEDS, follow=lap)
    half = max(1, len(course) // 2)
    loss = sum(row.train_loss or 0.0 for row in course[1 : half + 1]) / half
    return Passes(sum(clock.laps[:half]), sum(clock.laps[half:]), clock.laps[half:], loss)


def own_loop(lab: Lab, model: Any, encoded: Sequence[Encoded], batch: int, way: Way, follow: Follow | None = None) -> Passes:
    """A loop that waits for the device only at the end of a pass."""
    from peft.helpers import disable_input_dtype_casting

    steps, _ = steps_of([len(e.ids) for e in encoded], config_of(batch, way, epochs=1), SEEDS.data_order)
    grain = (256 if batch <= 8 else 512) if way.loop == "graph" else 0
    parameters = [p for p in model.parameters() if p.requires_grad]
    lean = way.loop == "lean"
    optimizer = torch.optim.AdamW(parameters, lr=2e-4, weight_decay=0.0, fused=True) if lean else None
    flat = None if lean else FlatAdapter(model, 2e-4, in_graphs=way.loop == "graph" and lab.device.type == "cuda")
    graphed = GraphedSteps(model, flat, way.loss, 1.0) if flat and way.loop == "graph" else None

    def step(examples: list[Encoded]) -> torch.Tensor:
        rows = pack([len(e.ids) for e in examples], [[] for _ in examples], MAX_TOKENS)
        if graphed and len(rows) == 1:
            return graphed(make_row(examples, grain))
        number = sum(e.nb_targets for e in examples)
        total = torch.zeros((), device=lab.device)
        for one in rows:
            row = make_row([examples[i] for i in one]).to(lab.device)
            with contextlib.ExitStack() as settings:
                if lean:
                    settings.enter_context(torch.autocast(lab.device.type, torch.bfloat16))
                    settings.enter_context(disable_input_dtype_casting(model))
                loss = row_loss(model, row, way.loss) / number
            loss.backward()
            total += loss.detach()
        if flat:
            flat.step(1.0)
        else:
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return total

    model.train()
    seconds: list[float] = []
    losses_: list[torch.Tensor] = []
    stream = torch.cuda.stream(torch.cuda.Stream()) if lab.device.type == "cuda" else contextlib.nullcontext()
    with stream:
        for _ in range(2):
            lab.synchronize()
            started = time.perf_counter()
            for one in steps:
                losses_.append(step([encoded[i] for i in one]))
                if follow:
                    follow(len(losses_))
            lab.synchronize()
            seconds.append(time.perf_counter() - started)
    more = {"graphs": len(graphed.graphs)} if graphed else {}
    return Passes(*seconds, [], float(torch.stack(losses_[: len(steps)]).mean()), more)


def trl_loop(lab: Lab, model: Any, examples: Sequence[Any], batch: int, tokenizer: Any) -> Passes:
    """TRL with batches of similar length and Liger's kernels."""
    shared = contenders.shared_arguments
    settings = {"per_device_train_batch_size": batch, "train_sampling_strategy": "group_by_length", "use_liger_kernel": True}
    if lab.device.type == "cpu":
        settings["use_liger_kernel"] = False
    with (
        elementwise_kernels(model, False),
        mock.patch.object(contenders, "shared_arguments", lambda *a: shared(*a) | {"num_train_epochs": 2}),
    ):
        trained = contenders.trl(model, examples, tokenizer, settings)
    half = len(trained.seconds) // 2
    return Passes(sum(trained.seconds[:half]), sum(trained.seconds[half:]), trained.seconds[half:], trained.loss)


def measure(lab: Lab, shape: str, batch: int, name: str, examples: Sequence[Any], peak: float, tokenizer: Any) -> dict[str, Any]:
    """One contender with a model of its own."""
    if name in WAYS:
        # Whole steps of the largest batch.
        examples = examples[: max(batch, round(WAYS[name].share * len(examples) / 32) * 32)]
    model = make_adapted(shape, lab.device)
    parameters, tokens = parameters_of(model), sum(len(e["ids"]) for e in examples)
    encoded = [Encoded(e["ids"], e["target_start"]) for e in examples]
    release(lab.device)
    if name == "TRL, Liger":
        took = trl_loop(lab, model, examples, batch, tokenizer)
    else:
        way = WAYS[name]
        with changed(model, way):
            run = library_loop if way.loop == "library" else own_loop
            took = run(lab, model, encoded, batch, way)
    median = sorted(took.steps)[len(took.steps) // 2] if took.steps else took.second_s / (len(examples) / batch)
    return {
        "tokens_per_s": round(tokens / took.second_s),
        "of_peak": round(4 * parameters * tokens / took.second_s / peak, 3),
        "peak_gib": lab.peak_gib(),
        "step_ms": round(1000 * median, 1),
        "first_pass_s": round(took.first_s, 2),
        "second_pass_s": round(took.second_s, 2),
        "loss": round(took.loss, 4),
        **took.more,
    }


def load_tokenizer(folder: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, padding_side="right")


def choose_grouped(lab: Lab) -> None:
    """Whether the attention kernel takes fewer heads of keys and values: torch 2.11 does not say."""
    if lab.device.type != "cuda":
        return
    from torch.nn.attention import varlen as _registered  # noqa: F401

    sizes = (300, 40, 172)
    prototypes._Rows.bounds = torch.tensor([0, *sizes]).cumsum(0).to(torch.int32).to(lab.device)
    q, k, v = (torch.randn(512, n, 64, device=lab.device, dtype=torch.bfloat16, requires_grad=True) for n in (32, 8, 8))
    w = torch.randn(512, 32, 64, device=lab.device, dtype=torch.bfloat16)
    found = {}
    for grouped in (False, True):
        prototypes._Rows.grouped = grouped
        try:
            out = prototypes.varlen(q, k, v, 0.125)
            found[grouped] = [out.detach(), *torch.autograd.grad(out, (q, k, v), w)]
        except Exception as error:
            lab.write(grouped_heads=grouped, failed=str(error)[:300])
    apart = [float((a - b).norm() / a.norm()) for a, b in zip(*found.values(), strict=True)] if len(found) == 2 else [1.0]
    prototypes._Rows.grouped = max(apart) < 0.02
    lab.write(grouped_heads=prototypes._Rows.grouped, apart=apart)


def compare_losses(lab: Lab, rows: int, width: int, vocabulary: int) -> dict[str, Any]:
    """Output layer and loss alone, forward and backward."""
    torch.manual_seed(0)
    hidden = torch.randn(rows, width, device=lab.device, dtype=torch.bfloat16)
    weight = 0.02 * torch.randn(vocabulary, width, device=lab.device, dtype=torch.bfloat16)
    targets = torch.randint(vocabulary, (rows,), device=lab.device)
    exact = hidden.float().requires_grad_()
    parts = [
        torch.nn.functional.cross_entropy(exact[i : i + 1024] @ weight.float().t(), targets[i : i + 1024], reduction="sum")
        for i in range(0, rows, 1024)
    ]
    (wanted,) = torch.autograd.grad(torch.stack(parts).sum(), exact)
    wanted_loss = float(torch.stack(parts).sum())
    del parts, exact
    kinds = [("library", 2**e) for e in (19, 24, 26, 28)] + [("linear", 2**e) for e in (26, 28)]
    kinds += [("linear triton", 2**e) for e in (24, 26, 28, 30)] + [("liger", 0), ("liger 16", 0), ("liger 64", 0)]
    for kind, most in kinds:
        if ("triton" in kind or "liger" in kind) and lab.device.type != "cuda":
            continue

        def both(kind: str = kind, most: int = most) -> tuple[torch.Tensor, torch.Tensor]:
            states = hidden.detach().requires_grad_()
            with mock.patch.object(losses, "_CHUNK", most):
                total = head_loss(kind, states, weight, targets, most)
            (gradient,) = torch.autograd.grad(total, states)
            return total, gradient

        def timed(both: Any = both) -> dict[str, Any]:
            total, gradient = both()
            return {
                "ms": round(1000 * lab.seconds(both, times=5, warm_up=1), 2),
                "peak_gib": lab.peak_gib(),
                "loss_error": abs(float(total) - wanted_loss) / wanted_loss,
                "gradient_error": float((gradient.float() - wanted).norm() / wanted.norm()),
            }

        lab.attempt(timed, loss=kind, logits_at_a_time=most, rows=rows, width=width)
    return {}


def main() -> None:
    preload("peft", "trl", "datasets", "liger_kernel.transformers", "transformers.models.llama.modeling_llama")
    lab, arguments = begin("train", tokenizer="", batches="8,32", number=256, losses=0)
    peak = lab.matmul_flops()
    choose_grouped(lab)
    tokenizer = load_tokenizer(arguments.tokenizer) if arguments.tokenizer else None
    for shape in arguments.shapes.split(","):
        if arguments.losses:
            sizes = SHAPES[shape]["hidden_size"], SHAPES[shape]["vocab_size"]
            lab.attempt(partial(compare_losses, lab, arguments.losses, *sizes), losses=shape)
        examples = examples_of(arguments.examples, arguments.number, shape)
        names = [name for name in arguments.only.split(";") if name] or ["TRL, Liger", *WAYS]
        for name in names:
            name, _, only_batch = name.partition("@")
            for batch in map(int, arguments.batches.split(",")):
                if only_batch and int(only_batch) != batch:
                    continue
                one = partial(measure, lab, shape, batch, name, examples, peak, tokenizer)
                lab.attempt(one, shape=shape, batch=batch, contender=name)


if __name__ == "__main__":
    main()
