"""Tensors that are made of numbers."""

from __future__ import annotations

import torch

from pipeline.capture.joint.operators.call import Call, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of
from pipeline.graphs.graph import Value


@translates("full", "full_like", "ones", "zeros", "ones_like", "zeros_like", "new_zeros", "new_ones", "new_full")
@translates("scalar_tensor", "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "fill")
def filled(call: Call, g: Writer) -> Value:
    """full(size, fill_value), zeros_like(self), scalar_tensor(s) and others of one number."""
    numbers = {"ones": 1, "ones_like": 1, "new_ones": 1, "full": None, "full_like": None, "new_full": None}
    number = numbers.get(call.name, 0)
    if number is None:
        number = call["fill_value"]
    if call.name in ("scalar_tensor", "fill"):
        number = call["s" if call.name == "scalar_tensor" else "value"]
    result = call.result
    value = g.operand(number, result.dtype)
    return g.op("Expand", value, g.sizes(sizes_of(result))) if result.rank else value


@translates("arange")
def arange(call: Call, g: Writer) -> Value:
    """arange(start=0, end, step=1)."""
    dtype = call.result.dtype
    start, end, step = call.get("start", 0), call["end"], call.get("step", 1)
    if all(isinstance(number, (int, float)) for number in (start, end, step)):
        numbers = torch.arange(start, end, step, dtype=dtype).numpy()
        return g.constant(numbers, numbers.dtype)
    return g.op("Range", *(g.operand(number, dtype) for number in (start, end, step)))


@translates("linspace")
def linspace(call: Call, g: Writer) -> Value:
    """linspace(start, end, steps)."""
    numbers = torch.linspace(call["start"], call["end"], call["steps"]).numpy()
    return g.constant(numbers, numbers.dtype)


@translates("eye")
def eye(call: Call, g: Writer) -> Value:
    """eye(n, m)."""
    if not all(isinstance(call.get(name, 0) or 0, int) for name in ("n", "m")):
        rows, columns = (g.op("Range", g.ints(0), g.operand(n, torch.int64), g.ints(1)) for n in sizes_of(call.result))
        return g.cast(g.op("Equal", g.op("Unsqueeze", rows, g.ints([1])), columns), call.result.dtype)
    numbers = torch.eye(call["n"], call.get("m") or call["n"], dtype=call.result.dtype).numpy()
    return g.constant(numbers, numbers.dtype)


@translates("fft_fftfreq", "fft_rfftfreq")
def frequencies(call: Call, g: Writer) -> Value:
    """fft_fftfreq(n, d=1), fft_rfftfreq(n, d=1)."""
    of = torch.fft.fftfreq if call.name == "fft_fftfreq" else torch.fft.rfftfreq
    return g.floats(of(call["n"], call["d"]).numpy())


@translates("hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window")
def window(call: Call, g: Writer) -> Value:
    """hann_window(window_length, periodic=True), and windows of other names and further numbers."""
    given = {name: call[name] for name in ("periodic", "alpha", "beta") if call.get(name) is not None}
    return g.floats(getattr(torch, call.name)(call["window_length"], **given).numpy())
