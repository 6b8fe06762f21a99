"""Files of other projects' networks. Run by `peers.py`, in an environment that holds those and nothing of ours.

Each network is written in FP32 for ONNX Runtime and in INT8 for LiteRT, by the same converters for all, from weights by
chance or from a training. Calibration images are noise: integer kernels take as long whatever the numbers. YOLO26n-sem
ends at its logits at 1/8; what its own export adds (enlarging, argmax) is left out. The others answer at full size.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MIN_IMAGES = 8


def _declare_kernels() -> None:
    """A torchvision made for GPUs is not imported beside a torch without: its operators, unused here, are not there."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


class _Out(nn.Module):
    """torchvision's networks return a dictionary."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """The scores."""
        scores: Tensor = self.network(x)["out"]
        return scores


def _yolo(n_classes: int) -> nn.Module:
    from ultralytics.nn.tasks import SemanticSegmentationModel

    network: nn.Module = SemanticSegmentationModel("yolo26n-sem.yaml", nc=n_classes, ch=3, verbose=False)
    return _fused(network)


def _fused(yolo: Any) -> nn.Module:
    """Batch norm in the convolutions, as every export of theirs has it."""
    network: nn.Module = yolo.float().eval().fuse()
    return network


def _smp(encoder: str) -> Callable[[int], nn.Module]:
    def make(n_classes: int) -> nn.Module:
        import segmentation_models_pytorch as smp

        network: nn.Module = smp.Unet(encoder, encoder_weights=None, in_channels=3, classes=n_classes)
        return network

    return make


def _lraspp(n_classes: int) -> nn.Module:
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    return _Out(lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=n_classes))


PEERS: dict[str, Callable[[int], nn.Module]] = {
    "yolo26n-sem": _yolo,
    "smp-unet-lite0": _smp("tu-tf_efficientnet_lite0"),
    "smp-unet-mobilenetv2": _smp("mobilenet_v2"),
    "torchvision-lraspp": _lraspp,
}


def trained_yolo(data: Path, folder: Path, args: argparse.Namespace) -> nn.Module:
    """YOLO26n-sem from scratch on a data set in its own format, with its own defaults for all but size and epochs."""
    from ultralytics import YOLO

    model = YOLO("yolo26n-sem.yaml")
    asked = {"epochs": args.epochs, "imgsz": args.size, "batch": args.batch, "seed": 0, "pretrained": False}
    model.train(data=str(data), project=str(folder), name="fit", exist_ok=True, plots=False, workers=1, **asked)
    best = folder / "fit" / "weights" / "best.pt"
    return _fused(YOLO(str(best)).model)


def write(network: nn.Module, folder: Path, size_px: int) -> dict[str, Any]:
    """`fp32.onnx` and `int8.tflite` of a network; what it holds."""
    import ai_edge_quantizer
    import litert_torch
    from ai_edge_quantizer import qtyping, recipe

    folder.mkdir(parents=True, exist_ok=True)
    network = network.eval()
    images = torch.rand((MIN_IMAGES, 3, size_px, size_px), generator=torch.Generator().manual_seed(0))
    about = {"dynamo": True, "input_names": ["image"], "external_data": False, "verbose": False}
    torch.onnx.export(network, (images[:1],), folder / "fp32.onnx", **about)  # type: ignore[arg-type]
    last = litert_torch.to_channel_last_io(network, args=[0], outputs=[0]).eval()  # as ours: no transposing of images
    pixels = images.permute(0, 2, 3, 1).contiguous()
    floats = folder / "fp32.tflite"
    litert_torch.convert(last, (pixels[:1],)).export(str(floats))
    quantizer = ai_edge_quantizer.Quantizer(str(floats))
    quantizer.load_quantization_recipe(recipe.static_wi8_ai8())
    for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        quantizer.update_quantization_recipe(
            regex=".*", operation_name=end, algorithm_key=recipe.AlgorithmName.NO_QUANTIZE
        )
    samples = [{"args_0": np.ascontiguousarray(image[None].numpy())} for image in pixels]
    ranges = quantizer.calibrate({"serving_default": samples})
    quantizer.quantize(calibration_result=ranges).export_model(str(folder / "int8.tflite"), overwrite=True)
    with torch.no_grad():
        scores = network(images[:1])
    return {"params": sum(one.numel() for one in network.parameters()), "scores": list(scores.shape)}


def main() -> int:
    """Write what was asked for, and `about.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--data", type=Path, help="data.yaml to train YOLO26n-sem on")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    _declare_kernels()
    about = {}
    for name in args.peers:
        torch.manual_seed(0)
        trained = args.data is not None and name == "yolo26n-sem"
        network = trained_yolo(args.data, args.out, args) if trained else PEERS[name](args.classes)
        try:
            about[name] = write(network, args.out / name, args.size) | {"trained": trained}
        except Exception as err:  # what a foreign converter raises; the others go on
            about[name] = {"reason": f"{type(err).__name__}: {str(err)[:300]}"}
    told = {"of": {"size_px": args.size, "classes": args.classes, "trained": args.data is not None}, "peers": about}
    (args.out / "about.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
