"""The data sets of the papers, and any folder, each brought into a cohort of one layout.

One module for each data set; each has one function of its name, which lists the cases of an
original folder and touches no pixel. :func:`pipeline.data.cohort.write_cohort` does the rest.
"""
