"""Faults in a fleet on Ray at random moments: nothing is lost or doubled, nothing overlaps.

A head and two nodes (``tonnage fleet join``), a service that directs them (``tonnage serve
--fleet``), clients that ask for studies, and a PostgreSQL of their own, all on this machine. At
random moments something is killed, stopped, filled or set wrong; then everything that was
acknowledged is compared with the database.

Whether two probes were ever on one device at the same time is told by the kernel: the workload
that is measured locks a file for as long as its process lives, and notes when it finds it locked.
"""

from benchmarks.fleet_faults.run import main

__all__ = ["main"]
