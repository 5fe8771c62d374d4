"""What all tests need of the process they run in."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and the commands under test inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
