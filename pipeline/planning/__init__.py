"""From the fingerprint of a cohort to a bundle that fits it, each choice with its reason."""
