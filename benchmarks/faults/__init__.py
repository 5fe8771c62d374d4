"""What the service survives: everything that it is made of is killed, over and over, while clients
use it; its disk fills up, and its clock is set an hour back or forth.

Everything is the real thing: ``tonnage serve``, two ``tonnage runner`` on one device, studies of a
small workload in real workers, SQLite or a PostgreSQL server. Clients send measurements and ask
for studies all the while, and keep a ledger of what was acknowledged. After every fault, and in the
end, the database is compared with the ledger.
"""

from __future__ import annotations

from benchmarks.faults.run import main

__all__ = ["main"]
