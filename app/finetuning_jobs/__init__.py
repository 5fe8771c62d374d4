"""Fine-tunings that the service was asked for: jobs that train registered models
on registered data.

What is stored of a fine-tuning, also of one from the command line, is in ``app.finetunings``.
"""
