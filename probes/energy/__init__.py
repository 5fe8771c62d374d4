"""Energy of the measured steps, read from the hardware's own counters, or why there are none; and
power limits, which are always restored. In the parent process; nothing here imports torch."""
