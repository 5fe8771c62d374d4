"""``tonnage finetune``: what its commands share."""
