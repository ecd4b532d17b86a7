"""The U-Nets of the papers, each by name."""

from pipeline.networks.unet import UNet


def ronneberger_unet(in_channels: int = 1, out_channels: int = 2, spatial_dims: int = 2) -> UNet:
    """The original: unpadded convolutions, ReLU, dropout at the end of the contracting path.

    572 x 572 in, 388 x 388 out, two logits for a softmax (Ronneberger et al. 2015, figure 1).

    >>> ronneberger_unet().output_side(572)
    388
    """
    return UNet(spatial_dims, in_channels, out_channels, padding="valid")


def andersen_unet(in_channels: int = 1, out_channels: int = 1, spatial_dims: int = 2) -> UNet:
    """Half the channels; each convolution is followed by ReLU, then batch norm; no dropout.

    The transposed convolutions are followed by ReLU. Four poolings: 32 x 32 x 256 enters the
    bottleneck from a 512-pixel image (Andersen, figure 2; his text says three layers).
    """
    return UNet(
        spatial_dims,
        in_channels,
        out_channels,
        features=(32, 64, 128, 256, 512),
        norm="batch",
        block_order="conv-act-norm",
        dropout=0.0,
        upsample_act=True,
    )


def magicians_unet(in_channels: int = 1, out_channels: int = 1, spatial_dims: int = 2) -> UNet:
    """One convolution per level, the first 5 x 5 with 8 kernels, five poolings, 128 at the bottom.

    Per-sample layer normalisation, no dropout (Erickson and Cai 2020). The paper gives the first
    and the last number of kernels; doubling between them reaches 128 at the fifth level, and the
    8 x 8 bottom after the fifth pooling keeps it.
    """
    return UNet(
        spatial_dims,
        in_channels,
        out_channels,
        features=(8, 16, 32, 64, 128, 128),
        norm="layer",
        dropout=0.0,
        first_kernel_size=5,
        convs_per_level=1,
    )


def mane_mittal_unet(in_channels: int = 1, out_channels: int = 1, spatial_dims: int = 2) -> UNet:
    """The original with two more 3 x 3 convolutions before the last layer: 700 in, 512 out.

    (Mane and Mittal, section 2.1: unpadded convolutions.)

    >>> mane_mittal_unet().output_side(700)
    512
    """
    return UNet(spatial_dims, in_channels, out_channels, padding="valid", extra_head_convs=2)


def ten_experiments_unet(
    filters: int = 64,
    norm: str | None = "batch",
    last_norm: bool = True,
    in_channels: int = 1,
    out_channels: int = 1,
    spatial_dims: int = 2,
) -> UNet:
    """The networks of the ten experiments: 64 or 16 filters first, padded, no dropout.

    ``last_norm=False`` leaves out the last batch norm (its experiment 2). The paper's largest
    network, 31,054,145 numbers, counts the running statistics of 64 filters with batch norm; its
    smallest, 1,940,817, has 16 filters and no batch norm.
    """
    return UNet(
        spatial_dims,
        in_channels,
        out_channels,
        features=tuple(filters * 2**level for level in range(5)),
        norm=norm,
        dropout=0.0,
        last_norm=last_norm,
    )
