"""Muon, an optimiser for the hidden matrices of a network, beside AdamW for the rest.

Jordan et al. (2024), https://kellerjordan.github.io/posts/muon. The momentum of every matrix is
orthogonalised by five Newton-Schulz steps; convolution kernels count as matrices (out, rest).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch


def orthogonalized(stack: torch.Tensor) -> torch.Tensor:
    """Bring the singular values of a stack of matrices (n, rows, columns) close to one."""
    tall = stack.shape[1] > stack.shape[2]
    x = stack.mT if tall else stack
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; matrices of one shape are treated together.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
        Matrices and convolution kernels.
    lr, momentum, weight_decay : float
        Step size, Nesterov momentum and decoupled weight decay.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            list(parameters), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: D102
        for group in self.param_groups:
            for alike in self._by_shape(group):
                update = orthogonalized(torch.stack([matrix for _, matrix in alike]))
                rows, columns = update.shape[1:]
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                for (parameter, _), change in zip(alike, update, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(change.reshape(parameter.shape), alpha=-rate)

    def _by_shape(self, group: dict) -> list[list[tuple[torch.nn.Parameter, torch.Tensor]]]:
        shapes: dict[torch.Size, list] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                matrix = self._momentum(parameter, parameter.grad, group["momentum"])
                shapes.setdefault(matrix.shape, []).append((parameter, matrix))
        return list(shapes.values())

    def _momentum(
        self, parameter: torch.nn.Parameter, gradient: torch.Tensor, momentum: float
    ) -> torch.Tensor:
        state = self.state[parameter]
        if "average" not in state:
            state["average"] = torch.zeros_like(parameter)
        state["average"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["average"], momentum).reshape(parameter.shape[0], -1)


def optimizers_for(
    modules: Iterable[torch.nn.Module],
    hidden: Callable[[str, torch.nn.Parameter], bool],
    *,
    lr: float = 0.02,
    weight_decay: float = 0.0,
) -> list[torch.optim.Optimizer]:
    """Return Muon for the parameters that `hidden` names and AdamW (2e-3) for all others."""
    named = [item for module in modules for item in module.named_parameters()]
    matrices = [parameter for name, parameter in named if hidden(name, parameter)]
    rest = [parameter for name, parameter in named if not hidden(name, parameter)]
    return [
        Muon(matrices, lr, weight_decay=weight_decay),
        torch.optim.AdamW(rest, 2e-3, weight_decay=0.0, betas=(0.9, 0.98)),
    ]
