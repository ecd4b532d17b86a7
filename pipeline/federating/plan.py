"""What the sites of a federated training are to do."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from nvflare.apis.filter import Filter

from pipeline.bundle import Bundle
from pipeline.bundle.config_files import ConfigFiles
from pipeline.bundle.overrides import split_key
from pipeline.federating.exchange import Statistics
from pipeline.sharing.packed_configs import places

SITE_NAME = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)
RESERVED = ("server",)
"""FLARE's own name, which no site may have."""


@dataclass(frozen=True)
class Plan:
    """What the sites are to do.

    Attributes:
        bundle: with overlays and overrides; ``val_interval`` epochs are a round.
        sites: their names.
        rounds: number of rounds.
        statistics: see :class:`pipeline.federating.exchange.Exchange`.
        mu: FedProx's factor; None: FedAvg.
        privacy: FLARE's filter of what leaves a site; None: none.
        seed: of the first weights, and of each site's training.
    """

    bundle: Bundle
    sites: tuple[str, ...]
    rounds: int
    statistics: Statistics = "shared"
    mu: float | None = None
    privacy: Filter | None = None
    seed: int = 0


def bundle_of_rounds(bundle: Bundle, rounds: int) -> Bundle:
    """Return a bundle whose epochs are divided into rounds, each validated at its end.

    Raises:
        ValueError: the epochs cannot be divided so, or the config sets what each site decides, or
            what has no meaning where weights are averaged.
    """
    _refuse_places(bundle)
    parser = bundle.parser("training")
    epochs = int(parser.get_parsed_content("max_epochs"))
    if rounds < 1 or epochs % rounds:
        raise ValueError(
            f"--rounds: found {rounds} for {epochs} epochs, expected a number that divides them; "
            f"or --set max_epochs={max(rounds, 1) * -(-epochs // max(rounds, 1))}"
        )
    if parser["average"] is not None:
        raise ValueError("average: the sites' weights are averaged already; --set average=null")
    if "distillation" in parser:
        raise ValueError("recipe/distill: no site has the teachers of the others; leave it out")
    if parser.get_parsed_content("patience"):
        raise ValueError("patience: no site may stop before the others; --set patience=0")
    divided = bundle.with_places({"val_interval": epochs // rounds})
    divided.check("evaluating")
    return divided


def config_sha256(bundle: Bundle) -> str:
    """Hash what the sites train by."""
    text = json.dumps(bundle.config("training"), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of sites.

    Raises:
        ValueError: fewer than two, one twice, or a name that FLARE does not take.

    Example:
        >>> check_names(["A", "B"])
        ('A', 'B')
    """
    names = tuple(names)
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"--sites: found {', '.join(names)}, expected two or more, each once")
    for name in names:
        if not SITE_NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(f"--sites {name}: expected letters, digits, - and _, and not 'server'")
    return names


def _refuse_places(bundle: Bundle) -> None:
    """Refuse settings that do not reach the sites: of places, the machine, and how it begins."""
    overlays = (key for path in bundle.overlays for key in ConfigFiles.load_config_file(path))
    for key in (*bundle.overrides, *overlays):
        if split_key(key)[0] in places("train"):
            raise ValueError(f"{key}: every site decides it; leave it out")
