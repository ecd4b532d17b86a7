"""The engines of a training, with all that every training shares, in order.

What a scientist changes (data, transforms, network, loss, optimiser, schedule) stands in a bundle's
``train.yaml``. What every training does beside it stands here: seeds, validation, the best model,
pictures, progress, tracking, the schedule's step, the state to resume from.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, ValidationHandler
from monai.inferers import Inferer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from pipeline.bundle.received import contained
from pipeline.inference.fitting import fitting
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.losses import IgnoringLoss
from pipeline.precision import FLOAT32, Precision
from pipeline.tracking import Run
from pipeline.training.autocast import in_precision
from pipeline.training.checkpoints import KeepBest
from pipeline.training.freed_memory import keep_freed_memory
from pipeline.training.gradients import ClipGradients
from pipeline.training.label_maps import LabelMapsInferer
from pipeline.training.memory_of_step import naming_its_size, plain_iteration
from pipeline.training.metrics import EvaluationLoss, TrainingLoss, image_metrics
from pipeline.training.overlays import BestOverlays
from pipeline.training.own_folder import OwnFolder
from pipeline.training.plain_tensors import plain_batch
from pipeline.training.pretraining import Pretraining
from pipeline.training.progress import Progress
from pipeline.training.record_epoch import RecordEpoch
from pipeline.training.reproducible import SeedEachEpoch
from pipeline.training.resume import Finish, KeepLast
from pipeline.training.stop_on_nan import StopOnNan
from pipeline.training.track_training import TrackTraining
from pipeline.training.weight_average import AverageWeights
from pipeline.training.weight_map import takes_weights, weighted_iteration

Loss = Callable[..., torch.Tensor]


def training_engine(
    run: Run,
    network: torch.nn.Module,
    loss: Loss,
    optimizer: Optimizer,
    lr_scheduler: LRScheduler,
    train_data_loader: DataLoader[Any],
    inferer: Inferer,
    validator: SupervisedEvaluator,
    max_epochs: int,
    val_interval: int,
    key_metric: str,
    publish_to: str,
    patience: int = 0,
    resume: str | None = None,
    init_from: str | None = None,
    precision: Precision = FLOAT32,
    max_gradient_norm: float | None = None,
    average: AveragedModel | None = None,
    instances: WatershedInstances | None = None,
    pretraining: Pretraining | None = None,
    train_handlers: Sequence[Any] = (),
) -> SupervisedTrainer:
    """Return MONAI's trainer with the handlers of every training, and further ones after them.

    Args:
        run: the training.
        network: on the run's device.
        loss: takes logits, truth and, where it can and the batch holds one, the weight map; what
            is ignored (a truth below 0) is left out.
        optimizer: of the network's parameters.
        lr_scheduler: steps after each epoch; one that waits for a plateau is handed ``key_metric``.
        train_data_loader: its dataset's random transforms are seeded at each epoch.
        inferer: how a batch passes the network.
        validator: see :func:`validation_engine`.
        max_epochs: of the whole training, resumed or not.
        val_interval: epochs between two validations.
        key_metric: of validation, by which the best epoch is judged.
        publish_to: the bundle's ``models`` folder.
        patience: epochs without a better validation after which training stops; 0 for never.
        resume: state of an interrupted run; None: a new training.
        init_from: weights that the network began with, where these are of an earlier training.
        precision: format that the network computes in.
        max_gradient_norm: norm that the gradient of a step is clipped to; None: it is not.
        average: see :func:`pipeline.training.averaged`; the validator is given it in place of the
            network, and it is kept. None: the weights of the last step are validated and kept.
        instances: separates them, and says how many maps follow those of the labels, which are
            learnt and not scored; None: none do.
        pretraining: of a training that learns from images alone: nothing but the loss is scored,
            no target is ignored, and its model is no segmentation model. None: it learns labels.
        train_handlers: further ones.
    """
    keep_freed_memory()
    publish_to = str(contained(publish_to, "--models_dir"))
    if resume is not None:
        resume = str(contained(resume, "--resume"))
    scheduler = {"lr_scheduler": lr_scheduler, "print_lr": False}
    if isinstance(lr_scheduler, ReduceLROnPlateau):
        scheduler["step_transform"] = lambda _: validator.state.metrics[key_metric]
    state: Mapping[str, Any] = {
        "network": network,
        "optimizer": optimizer,
        "lr_scheduler": lr_scheduler,
        **({} if average is None else {"average": average}),
    }
    kept = network if average is None else average.module
    if average is not None:
        validator.network = average
    handlers = [
        OwnFolder(run, network, publish_to, resume, average),
        SeedEachEpoch(run.seed, train_data_loader.dataset),
        *([] if max_gradient_norm is None else [ClipGradients(max_gradient_norm)]),
        StopOnNan(),
        *([] if average is None else [AverageWeights(network, average)]),
        ValidationHandler(val_interval, validator, epoch_level=True),
        KeepBest(run, kept, validator, key_metric, patience, publish_to, init_from, pretraining),
        *([] if pretraining else [BestOverlays(validator, run.folder)]),
        Progress(run, validator, precision, pretraining.further if pretraining else 0),
        RecordEpoch(run, validator, key_metric),
        LrScheduleHandler(**scheduler),
        KeepLast(run, state, resume),
        TrackTraining(run, is_registered=pretraining is None),
        Finish(run, key_metric, publish_to, is_pretraining=pretraining is not None),
        *train_handlers,
    ]
    return SupervisedTrainer(
        device=torch.device(run.device),
        max_epochs=max_epochs,
        train_data_loader=train_data_loader,
        network=network,
        optimizer=optimizer,
        loss_function=_learnt(loss, pretraining),
        prepare_batch=plain_batch,
        inferer=in_precision(inferer, precision, run.device),
        iteration_update=naming_its_size(
            weighted_iteration if takes_weights(loss) else plain_iteration
        ),
        key_train_metric={"loss": TrainingLoss()},
        additional_metrics=None if pretraining else image_metrics(_further_maps(instances)),
        train_handlers=handlers,
        decollate=False,
    )


def validation_engine(
    network: torch.nn.Module,
    loss: Loss,
    val_data_loader: DataLoader[Any],
    inferer: Inferer,
    device: torch.device | str,
    precision: Precision = FLOAT32,
    instances: WatershedInstances | None = None,
    pretraining: Pretraining | None = None,
    val_handlers: Sequence[Any] = (),
) -> SupervisedEvaluator:
    """Return MONAI's evaluator with the loss and the metrics of every validation.

    Args:
        network: on the device.
        loss: of training, whose mean is the metric ``loss``.
        val_data_loader: one image at a time.
        inferer: how an image passes the network.
        device: where the network is.
        precision: format that the network computes in.
        instances: separates them, and says how many maps follow those of the labels, which are
            learnt and not scored; None: none do.
        pretraining: as of :func:`training_engine`.
        val_handlers: further handlers.
    """
    computing = in_precision(fitting(inferer), precision, device)
    further = _further_maps(instances)
    return SupervisedEvaluator(
        device=torch.device(device),
        val_data_loader=val_data_loader,
        network=network,
        inferer=LabelMapsInferer(computing, further) if further else computing,
        key_val_metric=None if pretraining else image_metrics(),
        val_handlers=[EvaluationLoss(_learnt(loss, pretraining)), *val_handlers],
    )


def _learnt(loss: Loss, pretraining: Pretraining | None) -> Loss:
    """The loss, without what is ignored of labels; grey values below 0 are values."""
    return loss if pretraining else IgnoringLoss(loss)


def _further_maps(instances: WatershedInstances | None) -> int:
    return 0 if instances is None else instances.further_maps
