"""A random array transform of MONAI for every channel of an image by itself."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, RandomizableTransform
from monai.utils import convert_to_dst_type, convert_to_tensor


class RandEachChanneld(RandomizableTransform, MapTransform):
    """Apply a random transform to each channel by itself, with draws of its own.

    Channels may be images of several kinds, each with its own brightness and noise. MONAI's random
    transforms of intensity change all channels alike, or have a gamma whose range is that of all.
    nnU-Net draws twice: whether an image is changed at all, then whether each of its channels is.

    Args:
        keys: images.
        transform: random, of arrays ``(1, *spatial)``, as ``monai.transforms.RandAdjustContrast``;
            its probability is that of a channel.
        prob: probability that an image is changed at all.

    Shapes: ``(C, *spatial)``, array or tensor, to the same.

    Example:
        >>> from monai.transforms import RandScaleIntensity
        >>> brighter = RandEachChanneld("image", RandScaleIntensity(0.5, prob=1.0), prob=1.0)
        >>> image = brighter.set_random_state(0)({"image": torch.ones(2, 1, 2)})["image"]
        >>> bool(image[0, 0, 0] == image[0, 0, 1]), bool(image[0, 0, 0] == image[1, 0, 0])
        (True, False)
    """

    def __init__(
        self,
        keys: KeysCollection,
        transform: Callable[..., Any],
        prob: float = 1.0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.transform = transform

    def set_random_state(self, seed: int | None = None, state: Any = None) -> "RandEachChanneld":
        """Seed both draws."""
        super().set_random_state(seed, state)
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the channels of its images transformed."""
        out = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return out
        for key in self.key_iterator(out):
            channels = convert_to_tensor(out[key], track_meta=False).split(1)
            changed = [convert_to_tensor(self.transform(channel)) for channel in channels]
            out[key], *_ = convert_to_dst_type(torch.cat(changed), out[key])
        return out
