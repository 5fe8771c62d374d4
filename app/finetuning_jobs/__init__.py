"""Fine-tunings that the service was asked for: jobs that train registered models
on registered data.

What is stored of a fine-tuning, whoever started it, is in ``app.finetunings``.
"""
