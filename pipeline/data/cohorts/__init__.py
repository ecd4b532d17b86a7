"""Readers of the papers' data sets, and of any folder; all cohorts have the same layout.

One module per data set. Its function of the same name lists the cases of an original folder without
reading pixels. :func:`pipeline.data.cohort.write_cohort` writes them.
"""
