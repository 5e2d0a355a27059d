"""What becomes of chosen networks: loaded, fine-tuned, written out, and verified against what was promised of them."""

from ofa_hw.deploy.exported import ExportedNet, export_chosen
from ofa_hw.deploy.trained import TrainedRun
from ofa_hw.deploy.tuned import TunedNet, finetune_chosen
from ofa_hw.deploy.verified import Prediction, Verification, VerifiedNet, WholeNet, pick_along, predict, verify_run

__all__ = [
    "ExportedNet",
    "Prediction",
    "TrainedRun",
    "TunedNet",
    "Verification",
    "VerifiedNet",
    "WholeNet",
    "export_chosen",
    "finetune_chosen",
    "pick_along",
    "predict",
    "verify_run",
]
