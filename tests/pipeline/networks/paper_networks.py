"""The papers' U-Nets, by the arguments of ``UNet`` that differ from its defaults."""

FULL = (64, 128, 256, 512, 1024)
HALVED = (32, 64, 128, 256, 512)
QUARTERED = (16, 32, 64, 128, 256)

RONNEBERGER = {"out_channels": 2, "padding": "valid"}
"""Figure 1: 572 x 572 in, 388 x 388 out, two logits for a softmax."""

ANDERSEN = {
    "features": HALVED,
    "norm": "batch",
    "block_order": "conv-act-norm",
    "dropout": 0.0,
    "upsample_act": True,
}
"""Figure 2: ReLU, then batch norm; ReLU after the transposed convolutions; four poolings, so that
32 x 32 x 256 enters the bottleneck of a 512-pixel image (the text says three layers)."""

ERICKSON_CAI = {
    "features": (8, 16, 32, 64, 128, 128),
    "norm": "layer",
    "norm_path": "contracting",
    "block_order": "conv-act-norm",
    "init": "he_truncated",
    "dropout": 0.0,
    "first_kernel_size": 5,
    "convs_per_level": 1,
}
"""One convolution per level, the first 5 x 5 with 8 kernels, five poolings. The paper gives the
first and the last number of kernels; doubling between them reaches 128 at the fifth level, and the
8 x 8 bottleneck after the fifth pooling keeps it. A block of figure 2's left side is convolution,
normalisation, pooling; one of its right side has no normalisation."""

MANE_MITTAL = {"padding": "valid", "extra_head_convs": 2}
"""Section 2.1: unpadded convolutions, two more 3 x 3 convolutions before the last layer; 700 in,
512 out."""

EXPERIMENT_1 = {"features": FULL, "norm": "batch", "dropout": 0.0, "upsample_act": True}
"""The largest of the ten experiments; the paper counts the running statistics of batch norm. ReLU
after the 2 x 2 up-convolutions, as section III.C and its formula have it."""

EXPERIMENT_2 = {**EXPERIMENT_1, "last_norm": False}
"""As experiment 1, without the last batch norm."""

EXPERIMENT_6 = {"features": QUARTERED, "dropout": 0.0, "upsample_act": True}
"""The smallest of the ten experiments: 16 filters, no batch norm."""
