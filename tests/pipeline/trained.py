"""Networks in the place of trained ones, so that a chain can be run from there on."""

from __future__ import annotations

from edgeseg.pipeline.chain.chain import Chain
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import SegmentationNet


def put_networks(chain: Chain, networks: dict[str, SegmentationNet], **told: object) -> None:
    """Make the steps of these names whole, each with its network; `told` stands in their results too."""
    keys = chain.keys()
    for name, network in networks.items():
        folder = chain.folder(name)
        folder.begin(keys[name])
        save_checkpoint(folder.files, network, {})
        kept = {"kept_epoch": 1.0, "val_dice_at_network_size": 0.5, "highest_val_dice": 0.5, "history": []}
        folder.finish(keys[name], kept | {"params": 1, "macs": 1, "macs_at": [64, 64], **told}, 0.0)
