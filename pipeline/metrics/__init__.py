"""Metrics of predictions: arrays or tensors in, numbers out.

They read no file and know no model; of the project they import only each other.

- :mod:`~pipeline.metrics.overlap`: Dice, IoU, accuracy and their like, from counts of pixels or of
  probabilities.
- :mod:`~pipeline.metrics.distance`: Hausdorff 95, the average distance between surfaces, and
  surface Dice.
- :mod:`~pipeline.metrics.agreement`: bias and limits of agreement (Bland and Altman) of volumes.
- :mod:`~pipeline.metrics.instances`: F1, panoptic quality, merges and splits of labelled instances.
- :mod:`~pipeline.metrics.rand`: V_rand and V_info of two partitions into segments.
- :mod:`~pipeline.metrics.segments`: those of instances and segments that a threshold is chosen by.
- :mod:`~pipeline.metrics.warping`: the warping error, which counts differences of topology.
- :mod:`~pipeline.metrics.isbi`: the scores of the ISBI 2012 challenge, at one threshold or eleven.
- :mod:`~pipeline.metrics.calibration`: whether probabilities are the frequencies that they claim.
- :mod:`~pipeline.metrics.statistics`: bootstrap intervals and paired tests over patients.
- :mod:`~pipeline.metrics.contingency`: pixels that two labellings share; several of these use it.
- :mod:`~pipeline.metrics.checks`: the input that they refuse.
"""
