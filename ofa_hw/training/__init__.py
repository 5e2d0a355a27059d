"""Training the supernet by progressive shrinking, judging and fine-tuning its subnets."""

from ofa_hw.images import Dataset, ImageSet, load_dataset
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.config import TrainingConfig
from ofa_hw.training.cpu import prepare_cpu
from ofa_hw.training.evaluate import Scores, SubnetJudge, predict_logits, score_logits
from ofa_hw.training.finetune import FinetuneConfig, finetune
from ofa_hw.training.recipes import RECIPES
from ofa_hw.training.runs import create_run, load_supernet, move_run, open_images, read_metrics, train_run
from ofa_hw.training.sampling import sample_run
from ofa_hw.training.schedule import STRATEGIES, Phase, all_at_once, best_strategy, budget, progressive_shrinking

__all__ = [
    "RECIPES",
    "STRATEGIES",
    "Dataset",
    "FinetuneConfig",
    "ImageBatches",
    "ImageSet",
    "Phase",
    "Scores",
    "SubnetJudge",
    "TrainingConfig",
    "all_at_once",
    "best_strategy",
    "budget",
    "create_run",
    "finetune",
    "load_dataset",
    "load_supernet",
    "move_run",
    "open_images",
    "predict_logits",
    "prepare_cpu",
    "progressive_shrinking",
    "read_metrics",
    "sample_run",
    "score_logits",
    "train_run",
]
