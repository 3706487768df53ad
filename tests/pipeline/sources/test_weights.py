"""State dicts of other trainers that a torch module starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.errors import ModelError, UsageError
from pipeline.sources.model_source import build_module, find_model, with_weights
from pipeline.sources.weights import load_weights


def network(classes: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, classes))


def saved(content: object, file: Path) -> Path:
    torch.save(content, file)
    return file


@pytest.mark.parametrize("nested", ["", "state_dict", "model"])
def test_a_file_of_torch_is_read_also_where_it_holds_more(nested: str, tmp_path: Path) -> None:
    state = network().state_dict()
    file = saved({nested: state, "epoch": 3} if nested else state, tmp_path / "w.pt")
    module = network()
    load_weights(module, file)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def test_half_precision_becomes_the_modules_own(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "w.safetensors")
    module = network()
    load_weights(module, tmp_path / "w.safetensors")
    assert module.state_dict()["0.weight"].dtype == torch.float32
    torch.testing.assert_close(module.state_dict()["0.weight"], state["0.weight"], rtol=1e-3, atol=1e-4)


def test_a_head_of_another_size_stays_as_drawn_and_what_differs_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = network(10).state_dict()
    del state["1.running_var"]
    save_file({**state, "other": torch.ones(1)}, tmp_path / "w.safetensors")
    module = network()
    drawn = module.state_dict()["3.weight"].clone()
    load_weights(module, tmp_path / "w.safetensors")
    assert torch.equal(module.state_dict()["3.weight"], drawn)
    assert torch.equal(module.state_dict()["0.weight"], state["0.weight"])
    assert capsys.readouterr().err.splitlines() == [
        "weights: w.safetensors has in another size, left as drawn: 3.weight (4×8, there 10×8), 3.bias (4, there 10)",
        "weights: w.safetensors lacks: 1.running_var",
        "weights: w.safetensors has beside the model's: other",
    ]


class Evil:
    """Runs when it is unpickled by a loader that trusts its file."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("trusted",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as weights"),
        (b"no weights", "cannot be read as weights"),
        ({"epoch": 3}, "holds no state dict"),
        ([torch.ones(2)], "holds no state dict"),
        (network(), "cannot be read as weights"),
        (Evil(), "cannot be read as weights"),
        (
            {"module.conv.weight": torch.ones(2)},
            "no name is one of the model.s: it has module.conv.weight",
        ),
    ],
    ids=["empty", "text", "numbers", "a list", "a whole module", "a hostile pickle", "other names"],
)
def test_what_is_no_state_dict_of_the_model_is_one_line(
    content: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "w.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        saved(content, file)
    with pytest.raises(ModelError, match=message) as refusal:
        load_weights(network(), file)
    assert "\n" not in str(refusal.value)
    assert "trusted" not in capsys.readouterr().out


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_of_torch_that_is_damaged_anywhere_is_one_line(tmp_path: Path, zipped: bool) -> None:
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    whole, refused = (tmp_path / "w.pt").read_bytes(), 0
    for place in range(0, len(whole), 5):
        (tmp_path / "w.pt").write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        try:
            load_weights(torch.nn.Linear(3, 2), tmp_path / "w.pt")
        except ModelError as error:
            assert str(error).startswith(f"{tmp_path / 'w.pt'}")
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    "value", [torch.ones(2, 3).to_sparse(), torch.empty(2, 3, device="meta")], ids=["sparse", "meta"]
)
def test_what_is_no_plain_tensor_is_named(tmp_path: Path, value: torch.Tensor) -> None:
    torch.save({"weight": value, "bias": torch.ones(2)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"w\.pt"):
        load_weights(torch.nn.Linear(3, 2), tmp_path / "w.pt")


def test_a_damaged_safetensors_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"\x10" + bytes(30))
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load_weights(network(), tmp_path / "w.safetensors")


def test_they_are_an_input_of_the_model(tmp_path: Path) -> None:
    source = find_model("lenet")
    torch.manual_seed(5)
    save_file(build_module(source, 10, 9).state_dict(), tmp_path / "w.safetensors")
    chosen = with_weights(source, tmp_path / "w.safetensors")
    assert chosen.files() == [tmp_path / "w.safetensors"]
    assert torch.equal(
        build_module(chosen, 10, 1).state_dict()["fc3.weight"], build_module(source, 10, 9).state_dict()["fc3.weight"]
    )


def test_a_file_of_weights_is_there() -> None:
    with pytest.raises(UsageError, match="no such file"):
        with_weights(find_model("lenet"), Path("none.pt"))
