"""Which of the device classes for this training, in what time, for what money and energy."""
