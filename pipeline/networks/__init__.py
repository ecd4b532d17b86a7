"""The U-Net school: UNet, UNet++ and UNet 3+."""
