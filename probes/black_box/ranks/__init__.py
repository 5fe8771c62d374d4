"""Commands that train on several devices: their ranks, what these print, and why they end."""
