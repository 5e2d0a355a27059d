"""One step of training: gradients of each subnet on a batch, summed over subnets, averaged over processes, applied."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.blocks import num_macs
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.nn.synchronised import synchronise_norms
from ofa_hw.space import ArchConfig
from ofa_hw.training.config import TrainingConfig
from ofa_hw.training.ranks import Ranks
from ofa_hw.training.schedule import Phase

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """What the subnets of one step learn from; `images`, by resolution, are this process's part of the batch."""

    archs: tuple[ArchConfig, ...]
    images: Mapping[int, Tensor]
    labels: Tensor
    soft_labels: Tensor | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Lesson:
    """The logits and loss of one subnet, and its gradient for every parameter; None for those that it does not use."""

    logits: Tensor
    loss: Tensor
    gradients: tuple[Tensor | None, ...]


class Learner:
    """The supernet with its optimiser, its teacher and, where the configuration asks for it, its moving average.

    With `pool` the subnets of a step learn side by side, each on a twin of the supernet.
    """

    def __init__(self, net: Supernet, config: TrainingConfig, ranks: Ranks, pool: ThreadPoolExecutor | None) -> None:
        """Teach `net`, which moves to the device of `ranks`."""
        self.net = channels_last(net.to(ranks.device))
        self.config, self.ranks, self.pool = config, ranks, pool
        self.teacher: nn.Module | None = None
        num_nets = max(phase.num_subnets for phase in config.phases)
        # Twins share the weights; of batch-norm statistics only those of the first net are kept.
        self._nets = [self.net, *(self.net.twin() for _ in range(num_nets - 1))]
        for twin in self._nets:
            group = ranks.new_group()
            if group is not None:
                synchronise_norms(twin, group)
        self._parameters = list(self.net.parameters())
        self._scaler = torch.amp.GradScaler(ranks.device.type, enabled=config.precision == "fp16")
        self._scaler.scale(torch.zeros(1, device=ranks.device))  # creates its state now: threads would race for it
        self._average: dict[str, Tensor] = {}
        self.optimizer = self._new_optimizer()

    # ------------------------------------------------------------------------------------------------ one step

    @torch.no_grad()
    def soft_labels(self, x_BCHW: Tensor) -> Tensor:
        """Return the teacher's probabilities (n, num_classes) for the images."""
        assert self.teacher is not None, "a phase that distils comes after the largest network was trained"
        with self._cast():
            logits = self.teacher(x_BCHW)
        return logits.float().softmax(1)

    def begin(self, phase: Phase, batch: Batch) -> list[Future[_Lesson]]:
        """Start the lessons of the subnets of `batch`; with a pool this returns before they are finished."""
        places = sorted(range(len(batch.archs)), key=lambda place: -num_macs(self.net.space, batch.archs[place]))
        lessons: dict[int, Future[_Lesson]] = {}
        if phase.in_place:
            # The largest first: the others need its outputs as soft labels.
            lessons[0] = _done(self._learn(phase, batch, 0))
            batch = dataclasses.replace(batch, soft_labels=lessons[0].result().logits.softmax(1))
        for place in places:  # by falling cost, so that no long one is left to the end
            if place in lessons:
                continue
            if self.pool is not None and len(places) > 1:
                lessons[place] = self.pool.submit(self._learn, phase, batch, place)
            else:
                lessons[place] = _done(self._learn(phase, batch, place))
        return [lessons[place] for place in range(len(places))]

    def finish(self, lessons: Sequence[Future[_Lesson]], learning_rate: float, step: int) -> float:
        """Take one step of the optimiser by the sum of the gradients; return the mean loss of all processes."""
        learnt = [lesson.result() for lesson in lessons]
        loss = torch.stack([lesson.loss for lesson in learnt]).mean()
        for parameter, *parts in zip(self._parameters, *(lesson.gradients for lesson in learnt), strict=True):
            present = [part for part in parts if part is not None]
            parameter.grad = sum(present[1:], present[0]) if present else None
        self.ranks.average([loss, *(p.grad for p in self._parameters if p.grad is not None)])
        self._scaler.unscale_(self.optimizer)
        if self.config.max_grad_norm:
            # The gradient is a sum over subnets, and its limit with it.
            nn.utils.clip_grad_norm_(self._parameters, self.config.max_grad_norm * len(learnt))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self._move_average(step)
        return loss.item()

    def _learn(self, phase: Phase, batch: Batch, place: int) -> _Lesson:
        """Return the loss and the gradients of the subnet at `place` of the batch."""
        net, arch = self._nets[place], batch.archs[place]
        with self._cast():
            logits = net(batch.images[arch.resolution], arch)
        logits = logits.float()
        if phase.in_place and batch.soft_labels is not None:
            loss = F.cross_entropy(logits, batch.soft_labels)
        else:
            loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.config.label_smoothing)
            if batch.soft_labels is not None:
                loss = loss + phase.distill_weight * F.cross_entropy(logits, batch.soft_labels)
        gradients = torch.autograd.grad(self._scaler.scale(loss), list(net.parameters()), allow_unused=True)
        return _Lesson(logits=logits.detach(), loss=loss.detach(), gradients=gradients)

    def _cast(self) -> torch.autocast:
        # A new one each time: an autocast object belongs to one thread.
        dtype = _AUTOCAST.get(self.config.precision)
        return torch.autocast(self.ranks.device.type, dtype=dtype, enabled=dtype is not None)

    # ------------------------------------------------------------------------------------------ phases and state

    def begin_phase(self, phase: Phase) -> None:
        """Prepare for the first step of `phase`: teacher, order of channels, momentum and average from the start."""
        # Before channels are sorted and smaller widths trained, while the largest network is at its best.
        if phase.distill_weight and self.teacher is None:
            self._new_teacher()
        if phase.sort_stage is not None:
            self.net.sort_channels(phase.sort_stage)
        self.optimizer = self._new_optimizer()
        self._average = self._floats() if self.config.average_decay else {}
        self._average = {name: tensor.clone() for name, tensor in self._average.items()}

    def train(self) -> None:
        """Put the supernet and its twins into training mode."""
        for net in self._nets:
            net.train()

    def end_phase(self) -> None:
        """Let the moving average, where there is one, take the place of the weights."""
        for name, tensor in self._floats().items():
            if name in self._average:
                tensor.copy_(self._average[name])

    def state(self) -> dict[str, Tensor]:
        """Return all that the next step depends on; prefixes group it: net, teacher, momentum, average, scaler."""
        tensors = {f"net.{key}": value for key, value in self.net.state_dict().items()}
        if self.teacher is not None:
            tensors |= {f"teacher.{key}": value for key, value in self.teacher.state_dict().items()}
        for name, parameter in self.net.named_parameters():
            buffer = self.optimizer.state.get(parameter, {}).get("momentum_buffer")
            if buffer is not None:
                tensors[f"momentum.{name}"] = buffer
        tensors |= {f"average.{name}": tensor for name, tensor in self._average.items()}
        if self._scaler.is_enabled():
            known = self._scaler.state_dict()
            tensors["scaler.state"] = torch.tensor([known["scale"], known["_growth_tracker"]], dtype=torch.float64)
        return tensors

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self.net.load_state_dict(group_of(state, "net"))
        self.teacher = None
        if group_of(state, "teacher"):
            self._new_teacher().load_state_dict(group_of(state, "teacher"))
        self.optimizer = self._new_optimizer()
        momentum = group_of(state, "momentum")
        for name, parameter in self.net.named_parameters():
            if name in momentum:
                # In the memory order of the parameter, which the file does not keep.
                buffer = torch.empty_like(parameter).copy_(momentum[name])
                self.optimizer.state[parameter]["momentum_buffer"] = buffer
        floats = self._floats()
        average = group_of(state, "average")
        self._average = {name: torch.empty_like(floats[name]).copy_(value) for name, value in average.items()}
        if "scaler.state" in state:
            scale, growth_tracker = state["scaler.state"].tolist()
            known = self._scaler.state_dict() | {"scale": scale, "_growth_tracker": int(growth_tracker)}
            self._scaler.load_state_dict(known)

    def _new_optimizer(self) -> torch.optim.SGD:
        return make_optimizer(
            self.net,
            learning_rate=self.config.phases[0].learning_rate,
            momentum=self.config.momentum,
            weight_decay=self.config.weight_decay,
        )

    def _new_teacher(self) -> nn.Module:
        """Keep the largest network as it is now, for the phases that distil."""
        teacher = channels_last(self.net.extract(self.net.space.largest))
        self.teacher = teacher.requires_grad_(False).eval()
        return self.teacher

    def _floats(self) -> dict[str, Tensor]:
        """Return the weights and statistics of the supernet, in place, without its counters."""
        state = self.net.state_dict()
        return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}

    @torch.no_grad()
    def _move_average(self, step: int) -> None:
        if self._average:
            # A short memory at first, so that the early weights do not weigh on the average.
            decay = min(self.config.average_decay, (1 + step) / (10 + step))
            floats = self._floats()
            torch._foreach_lerp_(list(self._average.values()), [floats[name] for name in self._average], 1 - decay)


def group_of(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors of a group of `Learner.state` by their names without the prefix."""
    begin = f"{prefix}."
    return {key.removeprefix(begin): value for key, value in state.items() if key.startswith(begin)}


def make_optimizer(net: nn.Module, *, learning_rate: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """Return SGD with Nesterov momentum; convolutions and linear weights decay, batch norm and biases do not."""
    parameters = list(net.parameters())
    return torch.optim.SGD(
        [
            # Scales, shifts and biases are the parameters of one dimension.
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        momentum=momentum,
        nesterov=momentum > 0,
    )


def _done(lesson: _Lesson) -> Future[_Lesson]:
    future: Future[_Lesson] = Future()
    future.set_result(lesson)
    return future
