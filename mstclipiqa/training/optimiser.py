"""The optimiser and its learning rate by epoch; a second one where encoders are trained at a rate of their own."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

from mstclipiqa.model.build import MSTCLIPIQA, TrainedStreams
from mstclipiqa.model.recipes import Recipe


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The learning rate of an epoch (from 1): a linear rise over the warm-up epochs, then constant or a cosine.

    The sources name the schedules only; that they move by epochs is our reading.
    """
    if epoch <= recipe.warm_up_epochs:
        return recipe.learning_rate * epoch / recipe.warm_up_epochs
    if recipe.schedule == "constant":
        return recipe.learning_rate
    share = (epoch - recipe.warm_up_epochs) / max(1, recipe.epochs - recipe.warm_up_epochs)
    fall = recipe.learning_rate - recipe.final_learning_rate
    return recipe.final_learning_rate + fall * (1 + math.cos(math.pi * share)) / 2


class Optimiser:
    """Adam of all that a model trains under a recipe; of encoders at a share of the head's rate, and without weight
    decay, which in Adam's L2 term would draw pretrained weights to zero wherever their gradients are small."""

    def __init__(self, model: MSTCLIPIQA, recipe: Recipe):
        towers = list(model.fusion.towers.parameters()) if isinstance(model.fusion, TrainedStreams) else []
        others = {id(parameter) for parameter in towers}
        self.parts = [(Adam((p for p in model.parameters() if id(p) not in others), recipe.weight_decay), 1.0)]
        if recipe.adaptation:
            self.parts.append((Adam(towers, 0.0), recipe.adaptation["learning_rate"] / recipe.learning_rate))

    def step(self, learning_rate: float) -> None:
        """Update all parameters by their gradients, at a rate of the head, and clear these."""
        for optimiser, share in self.parts:
            optimiser.step(share * learning_rate)


class Adam:
    """torch's fused Adam update of those parameters that are trained; weight decay is an L2 term, as in the sources.

    Not torch.optim's class around it: that imports torch._dynamo, which takes as long as a small job trains.
    """

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float):
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.means, self.squares = ([torch.zeros_like(p) for p in self.parameters] for _ in range(2))
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]
        self.weight_decay = weight_decay

    def step(self, learning_rate: float) -> None:
        """Update the parameters by their gradients, and clear these."""
        self.update([parameter.grad for parameter in self.parameters], learning_rate)
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor | None], learning_rate: float | Tensor) -> None:
        """Update the parameters by gradients, one for each; where a loss does not depend on a parameter, None leaves it
        as it is, as in torch.optim. The fused update takes both to lie in memory alike: a transposed gradient it reads
        wrongly on a CPU, without a word, and refuses on a GPU."""
        state = zip(self.parameters, gradients, self.means, self.squares, self.steps, strict=True)
        used = [
            (p, g if g.stride() == p.stride() else torch.empty_like(p).copy_(g), mean, square, step)
            for p, g, mean, square, step in state
            if g is not None
        ]
        if not used:
            return
        parameters, alike, means, squares, steps = map(list, zip(*used, strict=True))
        adam(
            parameters, alike, means, squares, [], steps,
            fused=True, amsgrad=False, maximize=False,
            beta1=0.9, beta2=0.999, eps=1e-8, lr=learning_rate, weight_decay=self.weight_decay,
        )  # fmt: skip
