"""Recurrent layers of torch as one operator each, forward and backward, however long the sequence is.

torch would unroll them, some ten operators a step. `train_on_device::recurrent` stands for one layer in one direction;
what it leaves for the backward pass is kept by step, and everything that is not a recurrence (the products with the
input, the gradients of the weights, the derivatives of the gates) is written for all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import ModelError

# How many tensors a layer keeps by step for its backward pass; `_FACTORS` say which.
_KEPT = {"RNN_TANH": 0, "RNN_RELU": 0, "LSTM": 7, "GRU": 5}


def _recurrent(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    wb: Tensor | None,
    rb: Tensor | None,
    state: Sequence[Tensor],
    kind: str,
    reverse: bool,
) -> list[Tensor]:
    """Y T×N×H, the last of each state N×H, and what is kept by step.

    Args:
      x: T×N×I.
      w: weights of the input G·H×I, the G gates in torch's order.
      r: weights of the hidden state G·H×H.
      wb: bias of the input's product G·H.
      rb: bias of the hidden state's product G·H.
      state: the first hidden state N×H and, of an LSTM, the first cell state.
      kind: of the cell.
      reverse: whether the last step comes first.
    """
    steps, images, size = x.shape[0], x.shape[1], r.shape[1]
    y, *kept = (x.new_empty(steps, images, size) for _ in range(1 + _KEPT[kind]))
    return [y, *(torch.empty_like(value) for value in state), *kept]


def _recurrent_backward(
    dy: Tensor | None,
    r: Tensor,
    factors: Sequence[Tensor],
    dh: Tensor | None,
    dc: Tensor | None,
    kind: str,
    reverse: bool,
) -> list[Tensor]:
    """Gradients of the hidden states' products T×N×G·H, of the first states N×H, and of a GRU's hidden states T×N×H.

    With dh the gradient of a step's hidden state and ⊗ the product by gate, the products' gradient P, which gives
    P r to the hidden state of the step before, is

      RNN: dh ⊗ F.  factors: F T×N×H.
      GRU: dh ⊗ F; the step before gets dh × z, too.  factors: F T×N×3H, z T×N×H.
      LSTM: (dc, dc, dc, dh) ⊗ F, dc being dh × A and what the step behind gives: its dc × f.
        factors: F T×N×4H, A T×N×H, f T×N×H.

    Args:
      dy: T×N×H, None where it is 0.
      r: weights of the hidden state G·H×H.
      factors: by step.
      dh: the gradient N×H of the last hidden state beside what dy has of it, None where it is 0.
      dc: of an LSTM's last cell state.
      kind: of the cell.
      reverse: of the forward pass, whose last step comes first here.
    """
    like, size = factors[0], r.shape[1]
    steps, images = like.shape[0], like.shape[1]
    first = [like.new_empty(images, size) for _ in range(2 if kind == "LSTM" else 1)]
    of_hidden = [like.new_empty(steps, images, size)] if kind == "GRU" else []
    return [like.new_empty(steps, images, r.shape[0]), *first, *of_hidden]


# Operators of shapes alone: they are traced, never run.
_FORWARD, _BACKWARD = "train_on_device::recurrent", "train_on_device::recurrent_backward"
torch.library.define(
    _FORWARD,
    "(Tensor x, Tensor w, Tensor r, Tensor? wb, Tensor? rb, Tensor[] state, str kind, bool reverse) -> Tensor[]",
)
torch.library.define(
    _BACKWARD, "(Tensor? dy, Tensor r, Tensor[] factors, Tensor? dh, Tensor? dc, str kind, bool reverse) -> Tensor[]"
)
torch.library.register_fake(_FORWARD, _recurrent)
torch.library.register_fake(_BACKWARD, _recurrent_backward)


def no_packing(*args: Any, **options: Any) -> NoReturn:
    """Refuses torch's _pack_padded_sequence.

    Raises:
      ModelError: always.
    """
    raise ModelError(
        "the model packs sequences (pack_padded_sequence), whose lengths no graph for every batch has: give the layer "
        "the padded sequence, and choose each image's last step by torch.gather"
    )


def recurrent_layers(
    kind: str,
    x: Tensor,
    state: Any,
    weights: Any,
    has_biases: bool,
    layers: int,
    dropout: float,
    training: bool,
    bidirectional: bool,
    batch_first: bool = False,
) -> tuple[Tensor, ...]:
    """Torch's lstm, gru, rnn_tanh or rnn_relu by the kind of cell: y, the last hidden state, of an LSTM the last cell.

    Raises:
      ModelError: an LSTM has projections.
    """
    states = list(state) if kind == "LSTM" else [state]
    if kind == "LSTM" and states[0].shape[2] != states[1].shape[2]:
        raise ModelError("an LSTM with proj_size has no form here: leave it out, and put a Linear behind the layer")
    directions = 2 if bidirectional else 1
    each = 4 if has_biases else 2
    x = x.transpose(0, 1) if batch_first else x
    last: list[Sequence[Tensor]] = []
    for layer in range(layers):
        parts: list[Tensor] = []
        for direction in range(directions):
            place = layer * directions + direction
            w, r, *biases = weights[place * each : (place + 1) * each]
            wb, rb = biases if has_biases else (None, None)
            first = [value[place] for value in states]
            y, *final = _Layer.apply(x, w, r, wb, rb, kind, bool(direction), *first)  # type: ignore[no-untyped-call]
            parts.append(y)
            last.append(final)
        x = torch.cat(parts, -1) if bidirectional else parts[0]
        if training and dropout and layer < layers - 1:
            x = functional.dropout(x, dropout, True)
    ends = [torch.stack(values) for values in zip(*last, strict=True)]
    return x.transpose(0, 1) if batch_first else x, *ends


class _Layer(torch.autograd.Function):
    """One layer in one direction: x T×N×I, weights and biases, the first states → y T×N×H, the last states."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w: Tensor,
        r: Tensor,
        wb: Tensor | None,
        rb: Tensor | None,
        kind: str,
        reverse: bool,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        made = torch.ops.train_on_device.recurrent(x, w, r, wb, rb, list(state), kind, reverse)
        y, *rest = made
        ctx.kind, ctx.reverse, ctx.biased, ctx.states = kind, reverse, wb is not None, len(state)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, w, r, y, *state, *rest[len(state) :])
        return y, *rest[: len(state)]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        # As it is where a graph of this one is asked for, of which it would be no part.
        if torch.is_grad_enabled():
            layer = ctx.kind.removesuffix("_TANH").removesuffix("_RELU")
            raise ModelError(
                f"the loss takes a gradient of a gradient through {layer}, which has none: detach one of them"
            )
        x, w, r, y, *saved = ctx.saved_tensors
        state, kept, reverse = saved[: ctx.states], saved[ctx.states :], ctx.reverse
        dy, dh, dc = (*gradients, None)[:3]
        before = _shifted(y, state[0], reverse)
        factors = _FACTORS[ctx.kind](y, *kept)
        made = torch.ops.train_on_device.recurrent_backward(dy, r, factors, dh, dc, ctx.kind, reverse)
        products, *of_states = made[: 1 + len(state)]
        of_input = products
        if ctx.kind == "GRU":
            candidate = kept[2]
            of_candidate = made[-1] * (1 - factors[1]) * (1 - candidate * candidate)
            of_input = torch.cat([products[..., : 2 * y.shape[2]], of_candidate], -1)
        wanted = ctx.needs_input_grad
        flat, flat_input = products.flatten(0, 1), of_input.flatten(0, 1)
        return (
            (flat_input @ w).view(x.shape) if wanted[0] else None,
            flat_input.t() @ x.flatten(0, 1) if wanted[1] else None,
            flat.t() @ before.flatten(0, 1) if wanted[2] else None,
            # A node of its own for each bias, though they may be equal: each is one parameter's gradient.
            flat_input.sum(0) if ctx.biased and wanted[3] else None,
            flat.sum(0) if ctx.biased and wanted[4] else None,
            *(None, None),
            *of_states,
        )


def _shifted(values: Tensor, new: Tensor, reverse: bool) -> Tensor:
    """By step T×N×H what the step before gave, in the order in which they are computed; of the first it is `new` N×H.

    Cut only when it is whole: of T − 1 steps torch would ask whether they are one, where the images are the steps.
    """
    new = new.unsqueeze(0)
    return torch.cat([values, new])[1:] if reverse else torch.cat([new, values])[:-1]


# Of y and what is kept: the factors that `_recurrent_backward` names.


def _tanh_factors(y: Tensor) -> list[Tensor]:
    return [1 - y * y]


def _relu_factors(y: Tensor) -> list[Tensor]:
    return [(y > 0).to(y.dtype)]


def _lstm_factors(
    y: Tensor, i: Tensor, f: Tensor, g: Tensor, o: Tensor, new: Tensor, old: Tensor, tanh: Tensor
) -> list[Tensor]:
    """Of the gates, the parts i g and f c of the cell, and the tanh of the cell, each T×N×H."""
    gates = [new - new * i, old - old * f, i - new * g, y - y * o]
    return [torch.cat(gates, -1), o - y * tanh, f]


def _gru_factors(y: Tensor, r: Tensor, z: Tensor, n: Tensor, reset: Tensor, old: Tensor) -> list[Tensor]:
    """Of the gates, the candidate, r (h R + b) and z (h − n), each T×N×H."""
    candidate = (1 - z) * (1 - n * n)
    gates = [candidate * (reset - reset * r), old - old * z, candidate * r]
    return [torch.cat(gates, -1), z]


_FACTORS: Mapping[str, Callable[..., list[Tensor]]] = {
    "RNN_TANH": _tanh_factors,
    "RNN_RELU": _relu_factors,
    "LSTM": _lstm_factors,
    "GRU": _gru_factors,
}
