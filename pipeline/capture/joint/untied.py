"""Parameters as differentiation wants them: each tensor one parameter, and the hooks of each obeyed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.capture.joint.forgetting import forgetting

# Of a module within the one that is traced.
_PREFIX = "module."
# In the names of parameters that are registered anew, for the dot that torch does not allow there.
_DOT = "__dot__"


def own_name(target: str) -> str:
    """The user's name of what is within the module that is traced."""
    return target.removeprefix(_PREFIX).replace(_DOT, ".")


class Untied(nn.Module):
    """A module whose tied weights are one parameter each, as differentiation wants them, with the hooks of each."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        # In a list, which registers nothing.
        self._hidden = [module]
        self._first: dict[str, str] = {}
        self._hooks = {name: [*(value._backward_hooks or {}).values()] for name, value in module.named_parameters()}
        owners: dict[int, str] = {}
        for name, value in module.named_parameters(remove_duplicate=False):
            self._first[name] = owners.setdefault(id(value), name)
            if self._first[name] == name:
                self.register_parameter(name.replace(".", _DOT), value)
        for name, buffer in module.named_buffers(remove_duplicate=False):
            self._first[name] = owners.setdefault(id(buffer), name)
            if self._first[name] == name:
                self.register_buffer(name.replace(".", _DOT), buffer)
        self.training = module.training

    def forward(self, image: Tensor) -> Any:
        own = {first: getattr(self, first.replace(".", _DOT)) for first in set(self._first.values())}
        own |= {name: self._viewed(name) for name, value in own.items() if value.requires_grad}
        given = {name: own[first] for name, first in self._first.items()}
        with forgetting(self._hidden[0]):
            output = torch.func.functional_call(self._hidden[0], given, (image,))
        # It put into them what the module assigned anew.
        for name, buffer in self.named_buffers():
            new = given[name.replace(_DOT, ".")]
            if new is not buffer:
                self._buffers[name] = new
        return output

    def _viewed(self, name: str) -> Tensor:
        """A view of a parameter, whose gradient is a node of its own, and passes the parameter's hooks."""
        parameter: Tensor = getattr(self, name.replace(".", _DOT))
        view = parameter.view_as(parameter)
        for hook in self._hooks[name]:
            view.register_hook(hook)  # type: ignore[no-untyped-call]
        return view


def untied(module: nn.Module) -> nn.Module:
    """The module, as `Untied` where weights are tied or parameters have hooks."""
    names = [len(list(module.named_parameters(remove_duplicate=remove))) for remove in (True, False)]
    has_hooks = any(parameter._backward_hooks for parameter in module.parameters())
    return Untied(module) if names[0] != names[1] or has_hooks else module
