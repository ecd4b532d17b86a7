"""Networks against each other: trained alike, scored on the same cases."""
