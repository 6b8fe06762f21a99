"""Parts of a concatenation scaled to its range: the same function, and all levels for a part of small values."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgeseg.export.onnx.level import level_concats
from edgeseg.export.onnx.placement import s8_tensorrt
from edgeseg.export.onnx.planned import load_fp32, plan_onnx

from ..conftest import ARCHS
from .test_qdq import images_of, session_of

DEPTHWISE = [name for name in ARCHS if name.startswith("student")]


def plain_of(files):
    """The plan of the float graph, before anything is scaled."""
    planned = plan_onnx(files.model, files.plan, files.fp32, files.fp32_spec, s8_tensorrt())
    return load_fp32(files.fp32), planned


def run(path, names, image):
    model = onnx.load(path)
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    onnx.save(model, path)
    return session_of(path).run(None, {"image": image})


@pytest.mark.parametrize("name", ARCHS)
def test_scores_stay_and_parts_are_scaled_to_the_range_of_their_concatenation(onnx_files, tmp_path, name):
    files = onnx_files(name)
    exported, planned = plain_of(files)
    onnx.save(exported, tmp_path / "plain.onnx")
    onnx.save(planned.model, tmp_path / "levelled.onnx")
    onnx.checker.check_model(planned.model, full_check=True)
    joined = sorted(planned.joined)
    assert joined, "every one of these networks resizes or transposes into a concatenation"
    before, *plain = run(tmp_path / "plain.onnx", joined, images_of(files))
    after, *scaled = run(tmp_path / "levelled.onnx", joined, images_of(files))
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
    for tensor, was, now in zip(joined, plain, scaled, strict=True):
        own = max(planned.plan.s8_symmetric(key).scale for key in planned.keys[tensor])
        factor = planned.affine_of(planned.joined[tensor]).scale / own if name in DEPTHWISE else 1
        np.testing.assert_allclose(now, factor * was, atol=1e-4 * max(np.abs(now).max(), 1e-6))
        # As many levels as by a scale of its own, where a depthwise convolution takes the factor out again.
        assert planned.affine_of(tensor) == planned.affine_of(planned.joined[tensor])


def test_a_concatenation_in_float_changes_nothing(onnx_files):
    exported, planned = plain_of(onnx_files("student"))
    made, joined = level_concats(exported, planned.affine_of, lambda _name: True)
    assert made == exported and joined == {}


def test_what_others_read_too_is_left_alone(onnx_files):
    """Scaled for a concatenation it would be wrong for its other reader: the skips, and here the resized part."""
    exported, planned = plain_of(onnx_files("student"))
    concats = [node for node in exported.graph.node if node.op_type == "Concat"]
    part = concats[0].input[0]
    assert part in planned.joined and not {node.input[1] for node in concats} & {*planned.joined}
    exported.graph.node.append(onnx.helper.make_node("Relu", [part], ["aside"], "aside"))
    _, joined = level_concats(exported, planned.affine_of, lambda _name: False)
    assert part not in joined and concats[1].input[0] in joined
