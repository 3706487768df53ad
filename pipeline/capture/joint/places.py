"""Where in a torch module an operator is called, for the errors that name it: the graphs have lost it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


def places_of(module: nn.Module, image: Tensor) -> dict[str, str]:
    """The path of the first module that calls each operator in a forward pass, by the operator's name.

    Args:
      module: is run once.
      image: an example.
    """
    return _watched(module, image).found


def drawing_places(module: nn.Module, image: Tensor) -> list[str]:
    """The modules that draw random numbers in a forward pass, each as `'path' (Class)`.

    Args:
      module: is run once, as it stands.
      image: an example.
    """
    children = dict(module.named_modules())
    drawing = _watched(module, image).drawing
    return [f"{path!r} ({type(children[path]).__name__})" if path else "the model itself" for path in drawing]


def _watched(module: nn.Module, image: Tensor) -> _Watch:
    watch = _Watch()
    with ExitStack() as hooks, torch.no_grad(), torch.random.fork_rng(devices=[]), watch:
        for path, child in module.named_modules():
            hooks.callback(child.register_forward_pre_hook(_entering(watch, path)).remove)
            hooks.callback(child.register_forward_hook(_leaving(watch)).remove)
        # What fails is told already; up to there the places are right.
        with suppress(Exception):
            module(image)
    return watch


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.path: list[str] = []
        self.found: dict[str, str] = {}
        self.drawing: dict[str, None] = {}

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = str(func).removeprefix("aten.").rpartition(".")[0]
        path = self.path[-1] if self.path else ""
        self.found.setdefault(name, path)
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.drawing[path] = None
        return func(*args, **(kwargs or {}))


def _entering(watch: _Watch, path: str) -> Any:
    def hook(module: nn.Module, given: Any) -> None:
        watch.path.append(path)

    return hook


def _leaving(watch: _Watch) -> Any:
    def hook(module: nn.Module, given: Any, output: Any) -> None:
        watch.path.pop()

    return hook
