"""Who runs the studies that the service was asked for: the queue, the runner that takes jobs from
it, one device each, the process that runs a job, and its events.

A job is the run of one ``app.tuning`` study. What people ask for and see is in ``app.studies``.
"""
