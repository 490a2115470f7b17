"""Models in folders: they come back as they were, and what was tampered with does not."""

import shutil
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import TensorProto, helper

from goalkick.common.core.errors import InvalidDataError, InvariantError, SettingsError
from goalkick.prediction import manifest as manifests
from goalkick.prediction.manifest import Manifest
from goalkick.prediction.models.onnx import OnnxModel, load
from goalkick.prediction.training.train import TrainReport


def constant(probability: float, width: int = 3) -> bytes:
    """A graph that answers `probability` whatever it is asked."""
    graph = helper.make_graph(
        [
            helper.make_node(
                "Constant",
                [],
                ["probabilities"],
                value=helper.make_tensor("p", TensorProto.FLOAT, [1, 2], [0.0, probability]),
            )
        ],
        "constant",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 2])],
    )
    opsets = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def sealed(trained: TrainReport, model: bytes) -> OnnxModel:
    return OnnxModel(manifests.seal(trained.manifest, model), model)


def test_a_saved_model_is_the_same_when_loaded(trained: TrainReport, tmp_path: Path) -> None:
    trained.save(tmp_path / "deep" / "down")
    model = load(tmp_path / "deep" / "down")
    assert model.manifest == trained.manifest
    row = (0.5, 3e4, 0.0)
    assert model.predict(row) == OnnxModel(trained.manifest, trained.model).predict(row)
    assert model.manifest.id == f"logistic-1m-1-{trained.manifest.content_hash[:16]}"


@pytest.mark.parametrize("missing", ["model.onnx", "manifest.json"])
def test_refuses_a_folder_that_lacks_a_file(
    trained: TrainReport, tmp_path: Path, missing: str
) -> None:
    trained.save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(SettingsError, match=f"No such file.*{missing}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("manifest.json", b'"mean_up": 0.0', b'"mean_up": 0.9'),
        ("manifest.json", b'"a",\n    "b"', b'"b",\n    "a"'),
        ("manifest.json", b'"better_than_base_rate": true', b'"better_than_base_rate": false'),
        ("manifest.json", b"0123456789abcdef", b"fedcba9876543210"),
        ("model.onnx", b"skl2onnx", b"skl3onnx"),
    ],
)
def test_refuses_a_model_that_was_changed_after_training(
    trained: TrainReport, tmp_path: Path, name: str, old: bytes, new: bytes
) -> None:
    trained.save(tmp_path)
    text = (tmp_path / name).read_bytes()
    assert old in text
    (tmp_path / name).write_bytes(text.replace(old, new, 1))
    with pytest.raises(InvalidDataError, match=r"expected content hash .* found .* was changed"):
        load(tmp_path)


def test_refuses_the_graph_of_another_model(trained: TrainReport, tmp_path: Path) -> None:
    trained.save(tmp_path)
    shutil.copy(tmp_path / "model.onnx", tmp_path / "own")
    (tmp_path / "model.onnx").write_bytes(constant(0.5))
    with pytest.raises(InvalidDataError, match="content hash"):
        load(tmp_path)
    shutil.copy(tmp_path / "own", tmp_path / "model.onnx")
    load(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "truncated"),
        (b"{}", "missing required field"),
        (b'{"pickle": "gASVJAAAAAAAAACM"}', "unknown field"),
    ],
)
def test_refuses_what_is_no_manifest(text: bytes, reason: str) -> None:
    with pytest.raises(InvalidDataError, match=f"here: expected a model's manifest, .*{reason}"):
        manifests.decode(text, "here")


def test_refuses_a_manifest_whose_features_are_not_among_the_served(trained: TrainReport) -> None:
    wrong = msgspec.structs.replace(trained.manifest, served_features=("a", "b"))
    with pytest.raises(InvalidDataError, match="expected features out of a, b, found a, b, c"):
        manifests.decode(manifests.encode(wrong), "here")


def test_a_manifest_survives_its_text(trained: TrainReport) -> None:
    again = manifests.decode(manifests.encode(trained.manifest), "here")
    assert again == trained.manifest
    assert manifests.seal(again, trained.model) == again


@pytest.mark.parametrize("model", [b"", b"not a graph", b"\x80\x04\x95pickled"])
def test_refuses_bytes_that_are_no_graph(trained: TrainReport, model: bytes) -> None:
    with pytest.raises(InvalidDataError, match="expected an ONNX graph"):
        sealed(trained, model)


def test_refuses_a_graph_of_another_shape(trained: TrainReport) -> None:
    with pytest.raises(InvalidDataError, match="expected features of 3 numbers in"):
        sealed(trained, constant(0.5, width=4))


def test_refuses_an_answer_that_is_no_probability(trained: TrainReport) -> None:
    assert sealed(trained, constant(0.25)).predict((1.0, 2.0, 3.0)) == 0.25
    for wrong in (1.5, -0.1, float("nan")):
        with pytest.raises(InvariantError, match="expected a probability"):
            sealed(trained, constant(wrong)).predict((1.0, 2.0, 3.0))


def test_refuses_a_row_of_another_width(trained: TrainReport) -> None:
    with pytest.raises(InvariantError, match="expected 3 values, found 2"):
        sealed(trained, constant(0.5)).predict((1.0, 2.0))


def test_the_graph_names_its_operator_sets_in_one_order(trained: TrainReport) -> None:
    domains = [opset.domain for opset in onnx.load_from_string(trained.model).opset_import]
    assert domains == sorted(domains)


def test_the_verdict_says_so_plainly(trained: TrainReport) -> None:
    def verdict(better: bool) -> str:
        told: Manifest = msgspec.structs.replace(trained.manifest, better_than_base_rate=better)
        return told.verdict

    assert verdict(True).startswith("better than the base rate: log loss 0.")
    assert verdict(False).startswith("no better than the base rate: log loss 0.")
