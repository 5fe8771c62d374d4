"""Which of the device classes for this training, in what time, for what money and energy: questions
and answers, ``/v1/fleet-answers``. It reads what is stored and measures nothing."""
