"""Recurrent cells, scans, and convolutions along a sequence: images by rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from tests.sweep.case import CLASSES, Case, layer


def rows(image: Tensor) -> Tensor:
    """N×8×24."""
    return image.permute(0, 2, 1, 3).flatten(2)


class Crnn(nn.Module):
    """Convolutions, then columns through a bidirectional LSTM, as for text in images."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d((2, 1)))
        self.rnn = nn.LSTM(24, 5, num_layers=2, bidirectional=True)
        self.embedding = nn.Linear(10, CLASSES)

    def forward(self, x: Tensor) -> Any:
        conv = self.cnn(x)
        b, c, h, w = conv.size()
        conv = conv.view(b, c * h, w).permute(2, 0, 1)
        recurrent, _ = self.rnn(conv)
        t, b, h = recurrent.size()
        output = self.embedding(recurrent.view(t * b, h)).view(t, b, -1)
        return output.mean(0)


class ConvGru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gru = nn.Conv1d(24, 10, 3, padding=1), nn.GRU(10, 6, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = functional.relu(self.conv(rows(x).transpose(1, 2))).transpose(1, 2)
        _, hn = self.gru(x)
        return self.fc(torch.cat((hn[-2, :, :], hn[-1, :, :]), dim=1))


class AttentiveLstm(nn.Module):
    """Attention over all steps, as in Kaggle's notebooks."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(24, 7, batch_first=True, bidirectional=True, num_layers=1)
        self.weight, self.b = nn.Parameter(nn.init.xavier_uniform_(torch.zeros(14, 1))), nn.Parameter(torch.zeros(8))
        self.out = nn.Linear(14, CLASSES)

    def forward(self, x: Tensor) -> Any:
        h, _ = self.lstm(rows(x))
        eij = torch.mm(h.contiguous().view(-1, 14), self.weight).view(-1, 8)
        a = torch.exp(torch.tanh(eij + self.b))
        a = a / (torch.sum(a, 1, keepdim=True) + 1e-10)
        return self.out(torch.sum(h * torch.unsqueeze(a, -1), 1))


class LearnedStates(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(24, 5, bidirectional=True, batch_first=True)
        self.h0, self.c0 = (nn.Parameter(torch.randn(2, 1, 5) * 0.1) for _ in range(2))
        self.fc = nn.Linear(10, CLASSES)

    def forward(self, x: Tensor) -> Any:
        b = x.size(0)
        h0, c0 = self.h0.expand(-1, b, -1).contiguous(), self.c0.repeat(1, b, 1)
        self.lstm.flatten_parameters()
        out, (_, cn) = self.lstm(rows(x), (h0, c0))
        return self.fc(out[:, -1] + cn.transpose(0, 1).flatten(1))


class ZeroStates(nn.Module):
    """States made anew in forward, as in the first tutorial of everybody."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden_size, self.num_layers = 6, 2
        self.rnn = nn.RNN(24, 6, 2, batch_first=True, nonlinearity="relu", dropout=0.2)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = rows(x)
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)
        out, _ = self.rnn(x, h0.requires_grad_())
        return self.fc(out[:, -1, :])


class Cells(nn.Module):
    """A loop over one of torch's cells."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell, self.fc = cell, nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Any:
        state = None
        outputs = []
        for step in rows(x).unbind(1):
            state = self.cell(step, state)
            outputs += [state[0] if isinstance(state, tuple) else state]
        return self.fc(torch.stack(outputs, 1).mean(1))


class ConvLstm(nn.Module):
    """The image's channels as frames."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden_dim, self.conv = 3, nn.Conv2d(1 + 3, 4 * 3, 3, padding=1)
        self.fc = nn.Linear(3 * 64, CLASSES)

    def forward(self, x: Tensor) -> Any:
        b, t, height, width = x.size()
        h, c = (torch.zeros(b, self.hidden_dim, height, width, device=self.conv.weight.device) for _ in range(2))
        for i in range(t):
            combined = torch.cat([x[:, i : i + 1], h], dim=1)
            cc_i, cc_f, cc_o, cc_g = torch.split(self.conv(combined), self.hidden_dim, dim=1)
            c = torch.sigmoid(cc_f) * c + torch.sigmoid(cc_i) * torch.tanh(cc_g)
            h = torch.sigmoid(cc_o) * torch.tanh(c)
        return self.fc(h.flatten(1))


class Chomp1d(nn.Module):
    def __init__(self, chomp_size: int) -> None:
        super().__init__()
        self.chomp_size = chomp_size

    def forward(self, x: Tensor) -> Any:
        return x[:, :, : -self.chomp_size].contiguous()


class TemporalBlock(nn.Module):
    """TCN's, padded and cut, its weights normed."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        conv1 = weight_norm(nn.Conv1d(inputs, outputs, 2, padding=dilation, dilation=dilation))
        conv2 = weight_norm(nn.Conv1d(outputs, outputs, 2, padding=dilation, dilation=dilation))
        rest = (Chomp1d(dilation), nn.ReLU(), nn.Dropout(0.2))
        self.net = nn.Sequential(conv1, *rest, conv2, *rest)
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Any:
        res = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.net(x) + res)


class WaveNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.start, self.convs = nn.Conv1d(5, 6, 1), nn.ModuleList(nn.Conv1d(6, 12, 2, dilation=2**i) for i in range(3))
        self.skips = nn.ModuleList(nn.Conv1d(6, 4, 1) for _ in range(3))
        self.residuals = nn.ModuleList(nn.Conv1d(6, 6, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Any:
        x = self.start(x)
        skip = torch.zeros(())
        for i, (conv, s, r) in enumerate(zip(self.convs, self.skips, self.residuals, strict=True)):
            filtered, gate = conv(functional.pad(x, (2**i, 0))).chunk(2, 1)
            z = torch.tanh(filtered) * torch.sigmoid(gate)
            skip = skip + s(z)
            x = x + r(z)
        return functional.relu(skip)


class SelectiveScan(nn.Module):
    """Mamba's in plain torch: a loop over the steps."""

    def __init__(self, inner: int = 6, state: int = 3) -> None:
        super().__init__()
        self.in_proj = nn.Linear(5, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, bias=True, kernel_size=3, groups=inner, padding=2)
        self.x_proj, self.dt_proj = nn.Linear(inner, 2 + 2 * state, bias=False), nn.Linear(2, inner, bias=True)
        self.a_log = nn.Parameter(torch.log(torch.arange(1, state + 1).float().repeat(inner, 1)))
        self.d = nn.Parameter(torch.ones(inner))
        self.state = state

    def forward(self, x: Tensor) -> Any:
        b, length, _ = x.shape
        u, res = self.in_proj(x).chunk(2, dim=-1)
        u = functional.silu(self.conv1d(u.transpose(1, 2))[:, :, :length].transpose(1, 2))
        delta, bs, cs = self.x_proj(u).split(split_size=[2, self.state, self.state], dim=-1)
        delta = functional.softplus(self.dt_proj(delta))
        delta_a = torch.exp(torch.einsum("bld,dn->bldn", delta, -torch.exp(self.a_log.float())))
        delta_bu = torch.einsum("bld,bln,bld->bldn", delta, bs, u)
        h = torch.zeros((b, u.shape[2], self.state), device=x.device)
        ys = []
        for i in range(length):
            h = delta_a[:, i] * h + delta_bu[:, i]
            ys.append(torch.einsum("bdn,bn->bd", h, cs[:, i, :]))
        return (torch.stack(ys, dim=1) + u * self.d) * functional.silu(res)


class DiagonalStates(nn.Module):
    """S4D's with real states: a kernel for all steps, and a product of Toeplitz form."""

    def __init__(self, channels: int = 4, states: int = 3) -> None:
        super().__init__()
        self.log_dt = nn.Parameter(torch.rand(channels) - 2)
        self.a, self.c = (nn.Parameter(torch.rand(channels, states)) for _ in range(2))

    def forward(self, u: Tensor) -> Any:
        length = u.size(-1)
        dt_a = -self.a.exp() * self.log_dt.exp().unsqueeze(-1)
        k = (self.c.unsqueeze(-1) * torch.exp(dt_a.unsqueeze(-1) * torch.arange(length))).sum(1)
        place = torch.arange(length)[:, None] - torch.arange(length)[None, :]
        toeplitz = torch.where(place >= 0, k[:, place.clamp(min=0)], 0.0)
        return functional.gelu(torch.einsum("cij,bcj->bci", toeplitz, u))


class LogScan(nn.Module):
    """minGRU's parallel form: a scan in logarithms."""

    def __init__(self) -> None:
        super().__init__()
        self.to_hidden_and_gate = nn.Linear(5, 12, bias=False)

    def forward(self, x: Tensor) -> Any:
        hidden, gate = self.to_hidden_and_gate(x).chunk(2, dim=-1)
        log_coeffs = -functional.softplus(gate)
        log_g = torch.where(hidden >= 0, (functional.relu(hidden) + 0.5).log(), -functional.softplus(-hidden))
        log_values = -functional.softplus(-gate) + log_g
        a_star = log_coeffs.cumsum(dim=1)
        log_h0_plus_b_star = (log_values - a_star).logcumsumexp(dim=1)
        return (a_star + log_h0_plus_b_star).exp()


class SlstmCell(nn.Module):
    """xLSTM's exponential gates with their stabiliser."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.r = nn.Linear(24, 20), nn.Linear(5, 20, bias=False)
        self.fc = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = rows(x)
        h = c = n = m = x.new_zeros(x.shape[0], 5)
        for t in range(x.shape[1]):
            z, i, f, o = (self.w(x[:, t]) + self.r(h)).chunk(4, dim=-1)
            log_f = functional.logsigmoid(f)
            m_new = torch.max(log_f + m, i)
            i, f = torch.exp(i - m_new), torch.exp(log_f + m - m_new)
            c, n = f * c + i * torch.tanh(z), f * n + i
            h, m = torch.sigmoid(o) * (c / n.clamp_min(1e-6)), m_new
        return self.fc(h)


class Retention(nn.Module):
    """RetNet's decay by distance, heads normed apart."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.norm = nn.Linear(8, 24), nn.GroupNorm(2, 8, affine=False)
        self.register_buffer("gamma", 1 - torch.exp2(torch.tensor([-5.0, -6.0])), persistent=False)

    def forward(self, x: Tensor) -> Any:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, 2, 4).permute(2, 0, 3, 1, 4)
        index = torch.arange(t)
        distance = (index[:, None] - index[None, :]).float()
        decay = torch.tril(self.get_buffer("gamma").view(2, 1, 1) ** distance.abs())
        out = ((q @ k.transpose(-1, -2)) * decay @ v).transpose(1, 2).reshape(n * t, 8)
        return self.norm(out).view(n, t, 8)


class ReversedLstm(nn.Module):
    """Rows turned round by flip, every second output and both last states."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.LSTM(24, 6, batch_first=True), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        out, (h_n, c_n) = self.rnn(torch.flip(rows(x), dims=[1]))
        return self.fc(out[:, ::2].max(dim=1).values + h_n.squeeze(0) * c_n[-1].sigmoid())


SEQUENCES: dict[str, Case] = {
    "CRNN": Case(Crnn),
    "Conv1d and a GRU": Case(ConvGru),
    "attention over an LSTM": Case(AttentiveLstm),
    "initial states learned": Case(LearnedStates),
    "initial states of zeros": Case(ZeroStates),
    "LSTMCell in a loop": Case(lambda: Cells(nn.LSTMCell(24, 5))),
    "GRUCell in a loop": Case(lambda: Cells(nn.GRUCell(24, 5))),
    "RNNCell in a loop": Case(lambda: Cells(nn.RNNCell(24, 5, nonlinearity="relu"))),
    "ConvLSTM": Case(ConvLstm),
    "TCN": layer(lambda: nn.Sequential(TemporalBlock(5, 6, 1), TemporalBlock(6, 6, 2)), 5, 9),
    "WaveNet": layer(WaveNet, 5, 9),
    "Mamba's selective scan": layer(SelectiveScan, 7, 5),
    "S4D, real": layer(DiagonalStates, 4, 9),
    "minGRU's scan in logarithms": layer(LogScan, 7, 5),
    "sLSTM's exponential gates": Case(SlstmCell),
    "RetNet's retention": layer(Retention, 7, 8),
    "an LSTM read backwards": Case(ReversedLstm),
}
