"""Infer one grey image with an exported model: numpy, Pillow and onnxruntime alone, no torch.

For flat images alone: a volume needs a reader, its orientation and its spacing besides.

python infer_onnx.py model.onnx image.png mask.png --threshold 0.5 --multiple 32
"""

import argparse

import numpy as np
import onnxruntime
from PIL import Image


def main() -> None:
    """Write the mask of one image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("image")
    parser.add_argument("mask")
    parser.add_argument("--threshold", type=float, default=0.5, help="models/model.json tells it")
    parser.add_argument("--multiple", type=int, default=32, help="fold x 2^poolings of the network")
    options = parser.parse_args()

    image = np.asarray(Image.open(options.image).convert("L"), dtype=np.float32)
    normal = (image - image.mean()) / (image.std() or 1)  # as NormalizeIntensityd does
    rows, columns = image.shape
    far = [(0, -side % options.multiple) for side in image.shape]
    padded = np.pad(normal, far, mode="edge")[None, None]

    session = onnxruntime.InferenceSession(options.model)
    (probability,) = session.run(["probability"], {"image": padded})
    mask = probability[0, 0, :rows, :columns] >= options.threshold
    Image.fromarray(mask.astype(np.uint8) * 255).save(options.mask)


if __name__ == "__main__":
    main()
