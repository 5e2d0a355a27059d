"""Networks: static blocks, the elastic supernet, subnets cut from it."""

from ofa_hw.nn.block import build_block
from ofa_hw.nn.build import build_chain, build_subnet
from ofa_hw.nn.folding import fold_block, fold_chain
from ofa_hw.nn.recalibration import recalibrate_batch_norm
from ofa_hw.nn.supernet import Supernet

__all__ = [
    "Supernet",
    "build_block",
    "build_chain",
    "build_subnet",
    "fold_block",
    "fold_chain",
    "recalibrate_batch_norm",
]
