"""Many runs trained as one: their parameters and batches on a leading dimension, as a GPU wants them.

The mathematics is that of `losses.Objective`, mapped over the runs. Every run draws its own weights, batches and
dropout from its own seed, so its result does not depend on its neighbours: it is that of `run.train_run`, within the
rounding of float32.

A step is one function, `Stack.step`, in which nothing waits for the device: an epoch's batches are uploaded at once,
and a counter on the device says which is next. On a CPU it is called; on a GPU it is captured as a CUDA graph, and
replayed, since starting its hundreds of small operations one by one takes far longer than they do.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils.rnn import pad_sequence

from mstclipiqa.base.device import set_products
from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.names import BEST_ON_TEST, TRAIN, VALIDATION
from mstclipiqa.base.progress import say
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.build import MSTCLIPIQA
from mstclipiqa.model.heads import PromptHead
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.training.dataset import Dataset, to_mos
from mstclipiqa.training.losses import Objective
from mstclipiqa.training.optimiser import Adam, learning_rate
from mstclipiqa.training.run import Run, check_loss, draw_epoch
from mstclipiqa.training.selection import Selected

#: Runs at a time: enough to fill a GPU; the memory of their parameters, gradients and activations grows with them.
STACK = 128

#: Images of each run that are scored at a time. All shapes are constant, so that no result depends on what else is run.
EVALUATED = 64

#: Steps before one is captured: what allocates and chooses kernels at its first calls is not to be replayed.
WARM_UP = 3

#: The one dropout that can be stacked, the prompt head's.
DROPOUT = "head.dropout"


class DrawnDropout(nn.Module):
    """Dropout by a mask that was drawn before: `mask` (B, H) holds 0, or 1 / (1 - p) for what is kept."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(()))

    def forward(self, hidden: Tensor) -> Tensor:
        """`hidden` (B, H) times the mask, in training."""
        return hidden * self.mask if self.training else hidden


def can_stack(model: MSTCLIPIQA) -> bool:
    """Whether all that a model draws while it trains can be drawn ahead: the dropout of a fusion or rival cannot."""
    drawing = [name for name, part in model.named_modules() if isinstance(part, nn.Dropout) and part.p]
    return set(drawing) <= {DROPOUT}


def train_stacked(
    build: Callable[[int], MSTCLIPIQA],
    data: Dataset,
    runs: Sequence[Run],
    recipe: Recipe,
    device: torch.device,
    whole: Sequence[Run] | None = None,
    capture: bool = True,
) -> Iterator[tuple[Run, pd.DataFrame]]:
    """Train all runs; yields each one and what `train_run` returns. `build` gives the untrained model of a seed.

    Runs of equally many batches an epoch are trained together. `whole` are all runs of the job, of which `runs` may be
    what a killed one left: a stack is filled up to the size that it has in the whole job, at most STACK, because the
    number of runs decides kernels and so the last bits. On a GPU `capture` replays steps by a CUDA graph.

    Raises FailedRunError as `train_run` does, and says which run it was.
    """
    if device.type == "cuda":
        set_products(tf32=False)
    data = data.to(device)
    sizes = Counter(count_steps(run, recipe) for run in whole or runs)
    by_steps = defaultdict(list)
    for run in runs:
        by_steps[count_steps(run, recipe)].append(run)
    groups: list[tuple[list[Run], int]] = []
    for steps, equal in by_steps.items():
        size = min(STACK, sizes[steps])
        groups += [(equal[start : start + size], size) for start in range(0, len(equal), size)]
    while groups:
        # Small stacks leave a GPU idle: as many as STACK has room for are trained at once, each on a stream of its own.
        beside = 1
        while beside < len(groups) and sum(size for _, size in groups[: beside + 1]) <= STACK:
            beside += 1
        stacks, streams = [], [own_stream(device) for _ in range(beside)]
        for (group, size), stream in zip(groups, streams, strict=False):
            with stream():
                filled = [*group, *[group[0]] * (size - len(group))]
                stacks.append(Stack(build, data, filled, recipe, device, capture))
        for epoch in range(1, recipe.epochs + 1):
            for part in (Stack.launch, Stack.draw_ahead, Stack.see):
                for stack, stream in zip(stacks, streams, strict=True):
                    with stream():
                        part(stack, epoch)
        for (group, _), stack in zip(groups, stacks, strict=False):
            yield from zip(group, (own.table() for own in stack.selected), strict=False)
        groups = groups[beside:]


def own_stream(device: torch.device) -> Callable[[], AbstractContextManager]:
    """A context in which a GPU's work goes to a stream beside others', as capturing a graph asks for, too."""
    if device.type != "cuda":
        return nullcontext
    stream = torch.cuda.Stream()
    return lambda: torch.cuda.stream(stream)


def count_steps(run: Run, recipe: Recipe) -> int:
    """The batches of an epoch."""
    return -(-int(np.count_nonzero(run.roles == TRAIN)) // recipe.batch_size)


class Replayed:
    """A step that is called again and again; on a GPU by a CUDA graph, captured after WARM_UP calls.

    The function reads and writes the same tensors each time, and waits for nothing. It is called on an `own_stream`.
    """

    def __init__(self, step: Callable[[], None], device: torch.device, capture: bool):
        self.step, self.capture = step, capture and device.type == "cuda"
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """One step."""
        self.calls += 1
        if not self.capture or self.calls <= WARM_UP:
            self.step()
        else:
            if self.graph is None:
                self.graph = self._captured()
            if self.graph is None:
                self.capture = False
                self.step()
            else:
                self.graph.replay()

    def _captured(self) -> torch.cuda.CUDAGraph | None:
        """A graph of one step, which is not run; None where it cannot be captured, as with a fusion of one's own that
        waits for a value."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.step()
        except RuntimeError as error:
            say(f"steps are called, not replayed, since one cannot be captured ({' '.join(str(error).split())[:200]})")
            return None
        return graph


class Stack:
    """R runs in training. Tables are (steps, R, B, ...), B the recipe's batch size; the rest of a last batch that is
    smaller is not `present`."""

    def __init__(
        self,
        build: Callable[[int], MSTCLIPIQA],
        data: Dataset,
        runs: Sequence[Run],
        recipe: Recipe,
        device: torch.device,
        capture: bool = True,
    ):
        self.data, self.runs, self.recipe, self.device = data, runs, recipe, device
        models = {seed: build(seed) for seed in dict.fromkeys(run.seed for run in runs)}
        self.keeps, self.hidden = 1.0, 0
        for model in models.values():
            head = model.head
            if isinstance(head, PromptHead):
                head.split()
                if head.dropout.p:
                    self.keeps, self.hidden = 1 - head.dropout.p, head.w_o.in_features
                    head.add_module("dropout", DrawnDropout())
        objectives = [Objective(models[run.seed], recipe).to(device) for run in runs]
        self.objective, self.model = objectives[0], objectives[0].model
        parameters, self.buffers = stack_module_state(objectives)
        # Matrices lie as (R, in, out), which batched products take without a copy, of weights and of gradients alike.
        self.leaves = {
            name: value.detach().transpose(1, 2).contiguous().requires_grad_(value.requires_grad)
            if value.dim() == 3
            else value
            for name, value in parameters.items()
        }
        self.optimiser = Adam(self.leaves.values(), recipe.weight_decay)
        self.losses_of = vmap(lambda state, *batch: functional_call(self.objective, state, batch))
        self.scores_of = vmap(lambda state, *features: functional_call(self.model, state, features))

        self.generators = [torch.Generator().manual_seed(run.seed) for run in runs]
        self.dropping = [torch.Generator().manual_seed(run.seed) for run in runs]
        self.selected = [Selected(data, run.roles) for run in runs]
        self.steps = count_steps(runs[0], recipe)
        self.longest = int(data.lengths.max()) if self.model.uses_prompt else 0
        counts = torch.tensor([len(own.train) for own in self.selected])
        places = torch.arange(self.steps * recipe.batch_size).view(self.steps, 1, -1)
        self.drawn = self.draw()
        self.tables = {name: table.to(device) for name, table in self.drawn.items()}
        self.tables["present"] = (places < counts[:, None]).to(device)
        self.next = torch.zeros(1, dtype=torch.long, device=device)
        # A GPU's fused Adam reads a rate in float32.
        self.rate = torch.zeros((), dtype=torch.float32 if device.type == "cuda" else torch.float64, device=device)
        self.losses = torch.zeros(len(runs), dtype=self.data.score.dtype, device=device)
        self.judged = {BEST_ON_TEST: Judged(self, "test"), VALIDATION: Judged(self, "val")}
        self.found: dict[str, tuple[Tensor, Tensor]] = {}
        self.replayed = Replayed(self.step, device, capture)

    @property
    def state(self) -> dict[str, Tensor]:
        """The parameters in the shapes that the model knows, and the buffers."""
        return {
            **{name: leaf.mT if leaf.dim() == 3 else leaf for name, leaf in self.leaves.items()},
            **self.buffers,
        }

    def draw(self) -> dict[str, Tensor]:
        """The tables of the next epoch, on the CPU: rows, and where the recipe has them, views and what dropout
        keeps."""
        size, drawn = self.recipe.batch_size, defaultdict(list)
        for own, generator, dropping in zip(self.selected, self.generators, self.dropping, strict=True):
            rows, views = draw_epoch(own.train, self.recipe, generator)
            drawn["rows"].append(self._filled(rows))
            if views is not None:
                drawn["views"].append(self._filled(views))
            if self.hidden:
                # As nn.Dropout draws on the CPU, a batch at a time: its generator is not called value by value.
                kept = [
                    torch.empty(len(part), self.hidden).bernoulli_(self.keeps, generator=dropping)
                    for part in rows.split(size)
                ]
                drawn["kept"].append(self._filled(torch.cat(kept).bool()))
        return {name: torch.stack(parts, dim=1) for name, parts in drawn.items()}

    def _filled(self, values: Tensor) -> Tensor:
        """Values (n, ...) of an epoch as (steps, B, ...), the rest zero."""
        whole = values.new_zeros(self.steps * self.recipe.batch_size, *values.shape[1:])
        whole[: len(values)] = values
        return whole.view(self.steps, self.recipe.batch_size, *values.shape[1:])

    def step(self) -> None:
        """One step of every run with the next batch. It waits for nothing, so that it can be captured."""
        batch = {name: table.index_select(0, self.next)[0] for name, table in self.tables.items()}
        rows, state = batch["rows"], self.state
        if self.hidden:
            state[f"model.{DROPOUT}.mask"] = batch["kept"].to(self.data.score.dtype) / self.keeps
        prompts = self.data.prompts(rows, self.longest) if self.model.uses_prompt else ()
        streams = self.data.streams(rows, batch.get("views"))
        losses = self.losses_of(state, *streams, self.data.score[rows], prompts, batch["present"])
        self.optimiser.update(
            torch.autograd.grad(losses.sum(), self.optimiser.parameters, allow_unused=True), self.rate
        )
        self.losses.copy_(losses.detach())
        self.next.add_(1)

    def launch(self, epoch: int) -> None:
        """Start an epoch and its judgement; a GPU goes on with them after this returns."""
        for name, table in self.drawn.items():
            self.tables[name].copy_(table)
        self.rate.fill_(learning_rate(self.recipe, epoch))
        self.next.zero_()
        self.objective.train()
        for _ in range(self.steps):
            self.replayed()
        self.objective.eval()
        self.found = {selection: one.judge() for selection, one in self.judged.items() if one.count}

    def draw_ahead(self, epoch: int) -> None:
        """Draw the next epoch while a GPU works on this one."""
        self.drawn = self.draw() if epoch < self.recipe.epochs else {}

    def see(self, epoch: int) -> None:
        """Let every run's selections look at an epoch, when it is done: at scores (R, T) and SRCC (R,)."""
        judged = {name: (scores.cpu(), merits.cpu()) for name, (scores, merits) in self.found.items()}
        for number, (run, own, loss) in enumerate(zip(self.runs, self.selected, self.losses.tolist(), strict=True)):
            try:
                check_loss(loss, epoch)
                predicted, merits = {}, {}
                for selection, (scores, merit) in judged.items():
                    rows = own.test if selection == BEST_ON_TEST else own.val
                    if len(rows):
                        values = scores[number, : len(rows)].double().numpy()
                        predicted[selection] = to_mos(values, self.data.low, self.data.high)
                        merits[selection] = float(merit[number])
                        if np.isnan(merits[selection]):  # it says what is wrong with them
                            merits[selection] = srcc(predicted[selection], self.data.mos[rows])
                own.keep(epoch, predicted[BEST_ON_TEST], merits)
            except FailedRunError as error:
                raise FailedRunError(f"{run}: {error}") from None


class Judged:
    """The images of a role, of all runs of a stack: their scores, and how these agree with the MOS."""

    def __init__(self, stack: Stack, role: str):
        self.stack = stack
        rows = [getattr(own, role) for own in stack.selected]
        self.count = max(map(len, rows))
        width = -(-self.count // EVALUATED) * EVALUATED
        padded = torch.zeros(len(rows), width, dtype=torch.long)
        padded[:, : self.count] = pad_sequence(rows, batch_first=True)
        self.present = (torch.arange(width) < torch.tensor([[len(own)] for own in rows])).to(stack.device)
        self.chunks = padded.to(stack.device).split(EVALUATED, dim=1)
        mos = torch.tensor(stack.data.mos, device=stack.device)
        self.rated = centred_ranks(mos[padded.to(stack.device)], self.present) if self.count else None

    @torch.no_grad()
    def judge(self) -> tuple[Tensor, Tensor]:
        """The scores (R, T) of the role's images, and each run's SRCC (R,), NaN where it is undefined; on the device,
        without waiting for it."""
        data, model = self.stack.data, self.stack.model
        state = {name.removeprefix("model."): value for name, value in self.stack.state.items()}
        scores = torch.cat(
            [
                self.stack.scores_of(
                    state,
                    *data.streams(rows),
                    *(data.prompts(rows, self.stack.longest) if model.uses_prompt else ()),
                )
                for rows in self.chunks
            ],
            dim=1,
        )
        finite = (scores.isfinite() | ~self.present).all(1)
        assert self.rated is not None, "a role without images is not judged"
        mos = to_mos(scores.double(), data.low, data.high)  # where scores a rounding apart may be one
        merits = correlate(centred_ranks(mos, self.present), self.rated)
        return scores, merits.where(finite, torch.nan)


def centred_ranks(values: Tensor, present: Tensor) -> Tensor:
    """Twice the ranks of values (R, T) among those of their row that are present, equal ones at the mean of theirs,
    less the mean: whole numbers, whose sums have no rounding, in any order of adding. 0 where none is present."""
    values = values.masked_fill(~present, torch.inf)
    ordered = values.sort(dim=1).values
    below, through = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (below + through - present.sum(1, keepdim=True)) * present


def correlate(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation (R,) of whole numbers (R, T) whose rows have the mean 0; NaN of constant ones."""
    return (a * b).sum(1).double() / ((a * a).sum(1).double() * (b * b).sum(1).double()).sqrt()
