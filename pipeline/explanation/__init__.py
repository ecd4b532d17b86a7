"""Why a network answers as it does: occlusion, latent space, feature maps, gradients, doubt."""

from pipeline.explanation.occlusion import Occlusion

__all__ = ["Occlusion"]
