"""Explanation of a trained model: occlusion, gradients, uncertainty, feature maps, latent space."""

from pipeline.explanation.case_explanation import CaseSettings
from pipeline.explanation.explanation_run import explain
from pipeline.explanation.latent_explanation import LatentSettings
from pipeline.explanation.occlusion import Occlusion

__all__ = ["CaseSettings", "LatentSettings", "Occlusion", "explain"]
