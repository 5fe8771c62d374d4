"""Knowledge pages as this installation has them, and what was measured of their claims.

The pages themselves – reading, checking, connecting and rendering them – are ``knowledge``; how a
claim is measured is ``optimizer.ablation``. Here they meet the settings, the devices and the
database. Ablations that the service runs as jobs are in ``app.ablations``.
"""
