"""A trained model: its weights and their record, read and hashed once."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from numpy.typing import ArrayLike
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from pipeline.bundle.bundle import TRAIN
from pipeline.bundle.received import contained
from pipeline.claims import MODEL_WAIT_SECONDS, claim
from pipeline.errors import without_wrapping
from pipeline.files import atomic, shown, write_text
from pipeline.inference.confidence import DiceEstimate
from pipeline.inference.copies import places_of_copies
from pipeline.inference.engine import INT8, Engine, EngineTrial, chosen_engine, in_engine
from pipeline.inference.int8_program import Int8Program, int8_path
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.outer_contour import OuterContour
from pipeline.inference.prediction import Prediction, Predictor, inference_workflow
from pipeline.inference.validation_values import ValidationValues
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.inference.weights_hash import weights_sha256
from pipeline.layout import on_device
from pipeline.networks.weights import load_weights
from pipeline.next_command import typed_command
from pipeline.plain_text import plain_line
from pipeline.precision import FLOAT32, Precision
from pipeline.schemas import first_error, read_schema

PlainText = Annotated[str, AfterValidator(plain_line)]
"""Text of a record that is printed: it may come from another hospital."""


class ModelRecord(BaseModel):
    """What is known of a model's weights: ``model.json`` beside ``model.pt``.

    Attributes:
        bundle: name of the bundle.
        run_name: name of the run that trained it.
        mlflow_run_id: id of that run; None for weights that none trained.
        sha256: hash of the weights' values, see :func:`weights_sha256`; in older records, of the
            bytes of their file.
        datalist_sha256: hash that identifies its cohort and split.
        device: that it was trained on.
        epoch: whose weights these are.
        key_metric: by which that epoch is the best.
        key_metric_value: its value on validation.
        trained_on: hashes of the images that it was trained on.
        chosen_on: hashes of the images that chose it.
        hashes: kinds of these hashes. ``values``: of decoded pixels, which find an image in any
            file; ``bytes``: of the file, the only kind of older records.
        tags: further tags of the run: paper, experiment, ….
        operating_point: how its probabilities become masks; None before it is evaluated.
        members_sha256: hashes of the members of an ensemble.
        output_weights: names of the weights that the file lacks, as it was pretrained on images
            alone; a training that begins with it has new ones. Empty: it lacks none.
        engines: the engines as an evaluation measured them.
        expected_dice: by label, what an evaluation learnt of the Dice to expect of a mask.
        outer: the outer contours that it calibrated.
        validation_values: what inference measures of the validation cases.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    bundle: PlainText
    sha256: str
    run_name: PlainText = ""
    mlflow_run_id: str | None = None
    datalist_sha256: str = ""
    device: PlainText = ""
    epoch: int | None = None
    key_metric: PlainText = ""
    key_metric_value: float | None = None
    trained_on: list[str] = []
    chosen_on: list[str] = []
    hashes: list[Literal["bytes", "values"]] = ["bytes"]
    tags: dict[str, PlainText] = {}
    operating_point: OperatingPoint | None = None
    members_sha256: list[str] = []
    output_weights: list[str] = []
    engines: list[EngineTrial] = []
    expected_dice: dict[str, DiceEstimate] = {}
    outer: OuterContour | None = None
    validation_values: ValidationValues | None = None


class TrainedModel:
    """A model on disk: a network with its weights, and what is known of them.

    Args:
        path: of the weights, ``model.pt`` or ``model.safetensors``; their record ``model.json``
            lies beside them.
        network: that takes the weights; None where they are not used.
        device: where the network is used.
        symmetries: how many symmetries test-time augmentation may average; before an evaluation
            selects their number, all of them are.
        instances: separates touching instances; None: they are not separated. An evaluation may
            select another floor.

    Attributes:
        path: of the weights.
        weights: by name.
        record: see :class:`ModelRecord`.

    Raises:
        FileNotFoundError: no weights or no record there.
        ValueError: weights that are not readable, of another network, or not the record's.
    """

    def __init__(
        self,
        path: str | Path,
        network: torch.nn.Module | None = None,
        device: torch.device | str = "cpu",
        symmetries: int = 1,
        instances: WatershedInstances | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        content = read_weights(self.path)
        self.weights = parse_weights(content, self.path)
        self.record = _matching_record(self.path, content, self.weights)
        if self.record.output_weights:
            setting = f"init_from={shown(self.path)}"
            raise ValueError(
                f"{shown(self.path)}: was pretrained on images alone and knows no label; train "
                f"with it: {typed_command('train', self._bundle(), '--set', setting)}"
            )
        self.default = OperatingPoint(tta_versions=symmetries, instances=instances)
        self._network, self.device = network, torch.device(device)
        self._predictor: Predictor | None = None
        self._int8: Int8Program | None = None
        if network is not None:
            self._load_into(network)
            self._network = on_device(network, device)

    def _load_into(self, network: torch.nn.Module) -> None:
        try:
            load_weights(network, self.weights, self.path)
        except ValueError as error:
            run = self.record.run_name
            raise ValueError(f"{error}{f', as --run {run} does' if run else ''}") from None

    @classmethod
    def load(
        cls,
        bundle: str | Path,
        run: str | None = None,
        overlays: Sequence[str | Path] = (),
        overrides: Mapping[str, Any] | None = None,
    ) -> "TrainedModel":
        """Read the trained model of a bundle, ready to predict.

        Nothing is run and nothing is written; random generators and threads stay as they are.

        Args:
            bundle: its folder, own or received.
            run: a training by its name or id, with its own network and weights; None: the newest.
            overlays: that the newest was trained with, as ``unetpp``; a run has its own.
            overrides: keys of the config and their values: ``device``, ``threshold``,
                ``tta_versions``, ``models_dir``, …. A received bundle reads images only where
                ``image_dir`` says.

        Raises:
            FileNotFoundError: no such bundle, or it has not been trained.
            ValueError: no such run; weights of another network; a misspelt override.

        Example:
            >>> TrainedModel.load("no/such/bundle")
            Traceback (most recent call last):
            FileNotFoundError: no/such/bundle/configs/train.yaml: no such file; give the folder ...
        """
        workflow = inference_workflow(bundle, run, overlays, dict(overrides or {}))
        model: TrainedModel
        with without_wrapping():
            (model,) = workflow.parts("trained_model")
            model._predictor = Predictor(workflow)
        return model

    def predict(self, image: str | Path | ArrayLike, affine: ArrayLike | None = None) -> Prediction:
        """Segment one image as ``unet-school infer`` does.

        Preprocessing, window, test-time augmentation, threshold and post-processing are those of
        the bundle and of its evaluation.

        Args:
            image: a file (``stack.tif#3`` is one page); the folder of a DICOM series; or an array,
                ``(*spatial)`` or ``(C, *spatial)``.
            affine: of an array, from indices to millimetres, ``(4, 4)``; None: not known.

        Raises:
            FileNotFoundError: no such file.
            ValueError: an image that cannot be read or inferred; the model was not made by
                :meth:`load`.
        """
        if self._predictor is None:
            raise ValueError(f"{self.path}: was read without its bundle; use TrainedModel.load")
        with without_wrapping():
            return self._predictor(image, affine)

    @property
    def network(self) -> torch.nn.Module:
        """The network with the weights, on the device.

        Raises:
            ValueError: the model was made without one.
        """
        if self._network is None:
            raise ValueError(f"{self.path}: was read without a network; give one to TrainedModel")
        return self._network

    @property
    def operating_point(self) -> OperatingPoint:
        """What an evaluation selected; before that, the threshold 1/2 and all symmetries."""
        return self.record.operating_point or self.default

    def operating_point_with(
        self, threshold: float | None = None, tta_versions: int | None = None
    ) -> OperatingPoint:
        """Return the operating point with a given threshold or number of symmetries, if any.

        Where no threshold is given and none was selected, a line says so. A given one is that of
        every label.

        Raises:
            ValueError: a threshold outside 0 to 1, or a number outside 1 to 8.
        """
        changes = {} if tta_versions is None else {"tta_versions": tta_versions}
        if threshold is None:
            self.print_unselected()
        try:
            point = OperatingPoint(**{**dict(self.operating_point), **changes})
            return point if threshold is None else point.with_threshold(threshold)
        except ValidationError as error:
            raise ValueError(f"{self.path}: {first_error(error)}") from None

    def engine(self, asked: str) -> Engine:
        """Return the engine that an inference on the network's device uses.

        Args:
            asked: name of an engine, or ``auto``: the fastest one that the evaluation accepted.

        Raises:
            ValueError: this machine does not have it.
        """
        measured = self._measured_int8() is not None and int8_path(self.path).is_file()
        return chosen_engine(asked, self.record.engines, self.device, measured)

    def network_in(self, engine: Engine) -> torch.nn.Module:
        """Return the network, computed by an engine; see :func:`in_engine`.

        Raises:
            ValueError: the program of ``openvino_int8`` is not the one that was measured.
        """
        program = self._int8_program() if engine == INT8 else None
        return in_engine(self.network, engine, self.device, program)

    def quantise(self, windows: Sequence[torch.Tensor]) -> Int8Program:
        """Make the program of ``openvino_int8``, which :meth:`store` keeps if it is accepted.

        Args:
            windows: of training images as they pass the network, ``(1, C, *spatial)`` each.

        Raises:
            ValueError: no windows, or windows of several shapes.
        """
        from pipeline.inference.int8_compiler import quantise  # an extra

        self._int8 = Int8Program(quantise(self.network, windows))
        return self._int8

    def _int8_program(self) -> Int8Program:
        return self._int8 or Int8Program.read(self.path, self._measured_int8() or "")

    def _measured_int8(self) -> str | None:
        """Return the hash of the program that the evaluation accepted; None: it accepted none."""
        trials = (trial for trial in self.record.engines if trial.engine == INT8 and trial.accepted)
        return next((trial.program_sha256 for trial in trials), None)

    def print_unselected(self) -> None:
        """Say that the threshold is 1/2 because no evaluation selected one, and how to select it.

        Nothing is printed of a model that was evaluated.
        """
        if self.record.operating_point is None:
            print(
                f"{shown(self.path)}: no threshold was chosen for these weights, so that it is "
                f"{self.default.threshold:g}; choose it on validation: {self._evaluate_command()}",
                flush=True,
            )

    def _evaluate_command(self) -> str:
        run = ["--run", self.record.run_name] if self.record.run_name else []
        return typed_command("evaluate", self._bundle(), *run)

    def _bundle(self) -> Path | str:
        folders = (path for path in self.path.parents if (path / "configs" / TRAIN).is_file())
        return next(folders, "BUNDLE")

    def store(
        self,
        operating_point: OperatingPoint,
        engines: Sequence[EngineTrial] = (),
        expected_dice: Mapping[str, DiceEstimate] | None = None,
        outer: OuterContour | None = None,
        validation_values: ValidationValues | None = None,
    ) -> None:
        """Keep an operating point, what was learnt at it, and the measured engines, if any.

        They stand in the record and in those of the weights' copies: the weights have them wherever
        they are read, as the published model or by their run.

        Raises:
            ValueError: by now, other weights lie at the path.
        """
        hashes = {self.record.sha256, read_record(self.path).sha256}
        changes: dict[str, Any] = {
            "operating_point": operating_point,
            "expected_dice": dict(expected_dice or {}),
            "outer": outer,
            "validation_values": validation_values,
        }
        if engines:
            changes["engines"] = list(engines)
        self.record = self.record.model_copy(update=changes)
        if not _store(self.path, self.record.sha256, changes):
            raise ValueError(
                f"{self.path}: another training was published there during this evaluation; "
                "evaluate again"
            )
        copies = [path for path in places_of_copies(self.path) if _stated_hash(path) in hashes]
        for path in copies:
            _store(path, self.record.sha256, changes)
        if self._int8 is not None and self._measured_int8() == self._int8.sha256:
            for path in (self.path, *copies):
                self._int8.write(path)


def save_model(path: Path, weights: Mapping[str, Any], **fields: Any) -> ModelRecord:
    """Write weights and their record, and return the record.

    Args:
        path: ``model.pt``.
        weights: the state of a network.
        fields: those of :class:`ModelRecord` but the hash.

    Raises:
        OSError: there is no room, or the folder cannot be written.
    """
    content, record = serialise(weights), ModelRecord(sha256=weights_sha256(weights), **fields)
    with atomic(path, durable=True) as temporary:
        temporary.write_bytes(content)
    write_record(path, record)
    return record


def serialise(content: Mapping[str, Any]) -> bytes:
    """Return tensors and plain values as torch stores them.

    In memory: on a full disk torch's own writer hides the reason.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    return buffer.getvalue()


def read_weights(path: Path) -> bytes:
    """Read a file of weights.

    Raises:
        FileNotFoundError: no such file.
    """
    path = contained(path, "--model")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; train first, or give its path")
    return path.read_bytes()


def parse_weights(content: bytes, path: Path) -> dict[str, Any]:
    """Return the tensors and plain values of a file; nothing in it is executed.

    Raises:
        ValueError: not such a file, or a truncated one.
    """
    parse = _safetensors_parser() if path.suffix == ".safetensors" else _parse_pickled
    try:
        return parse(content)
    except Exception as error:  # a broken pickle may raise any exception
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: not a readable checkpoint ({reason}); restore it") from None


def _safetensors_parser() -> Callable[[bytes], dict[str, Any]]:
    import safetensors.torch  # an extra

    return safetensors.torch.load


def _parse_pickled(content: bytes) -> dict[str, Any]:
    return dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a file of tensors and plain values; nothing in it is executed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, or a truncated one.
    """
    return parse_weights(read_weights(path), path)


def record_path(model: Path) -> Path:
    """Return where the record of a model is: ``model.json`` beside ``model.pt``."""
    return model.with_suffix(".json")


def read_record(model: Path) -> ModelRecord:
    """Read the record of a model, without its weights.

    Raises:
        FileNotFoundError: there is none.
        ValueError: not a record.
    """
    remedy = "training writes it beside the weights; train again"
    return read_schema(record_path(contained(model, "--model")), ModelRecord, remedy)


def write_record(model: Path, record: ModelRecord) -> None:
    """Write the record of a model."""
    write_text(record_path(model), record.model_dump_json(indent=2) + "\n", durable=True)


def initial_network(
    network: torch.nn.Module,
    init_from: str | None,
    device: torch.device | str,
    precision: Precision = FLOAT32,
) -> torch.nn.Module:
    """Return the network that a training begins with.

    Args:
        network: made by the config.
        init_from: weights to begin from; None: the network's own. Those that were pretrained on
            images alone have no output, which stays the network's own.
        device: where it is trained.
        precision: what it computes in.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or one of another network.
    """
    if init_from is not None:
        path = Path(init_from)
        load_weights(network, {**_new_output(network, path), **read_checkpoint(path)}, path)
    return on_device(network, device, precision)


def is_pretrained(model: Path) -> bool:
    """Return whether weights were pretrained on images alone, so that they know no label.

    Raises:
        FileNotFoundError: they have no record.
        ValueError: not a record.
    """
    return bool(read_record(model).output_weights)


def _new_output(network: torch.nn.Module, model: Path) -> dict[str, Any]:
    """Return the network's own weights of what a pretrained file lacks."""
    lacking = read_record(model).output_weights if record_path(model).is_file() else []
    return {name: w for name, w in network.state_dict().items() if name in lacking}


def _store(path: Path, sha256: str, changes: Mapping[str, Any]) -> bool:
    """Change fields of a record; return whether the weights are still those of a hash."""
    with claim(path, MODEL_WAIT_SECONDS):
        if _hash_of_values(read_checkpoint(path), path) != sha256:
            return False
        before = read_record(path)
        record = before.model_copy(update={"sha256": sha256, **changes})
        if record != before:  # a received file stays as it was signed
            write_record(path, record)
    return True


def _stated_hash(path: Path) -> str | None:
    """Return the hash in the record of a file that may be a copy; None: it is no model of ours."""
    try:
        return read_record(path).sha256
    except (FileNotFoundError, ValueError):
        return None


def _matching_record(path: Path, content: bytes, weights: Mapping[str, Any]) -> ModelRecord:
    """Return the record of weights, with the hash of their values."""
    record, digest = read_record(path), _hash_of_values(weights, path)
    if record.sha256 not in (digest, hashlib.sha256(content).hexdigest()):
        raise ValueError(
            f"{record_path(path)}: belongs to other weights than {path.name}; copy both together"
        )
    return record.model_copy(update={"sha256": digest})


def _hash_of_values(weights: Mapping[str, Any], path: Path) -> str:
    try:
        return weights_sha256(weights)
    except ValueError as error:
        raise ValueError(f"{path}: not the weights of a model: {error}") from None
