"""Somebody who looks at the fleet meanwhile: ``python -m benchmarks.fleet_scale.reader HOST PORT``.

Reads until a line comes on its standard input, then prints the latencies as JSON.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time

PATHS = ("/v1/studies?limit=50", "/v1/studies?state=queued&limit=50", "/v1/device-groups")
PAUSE_S = 0.02


def read(host: str, port: int) -> dict[str, float]:
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    connection = http.client.HTTPConnection(host, port)
    taken_s: list[float] = []
    paths = list(PATHS)
    number = failed = 0
    while not stop.is_set():
        path = paths[number % len(paths)]
        number += 1
        began_s = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        taken_s.append(time.perf_counter() - began_s)
        failed += answer.status != 200
        if len(paths) == len(PATHS) and path == PATHS[0] and answer.status == 200:
            items = json.loads(body)["items"]
            paths += [f"/v1/studies/{each['id']}" for each in items[:5]]
        time.sleep(PAUSE_S)
    ordered = sorted(taken_s)

    def percentile_ms(fraction: float) -> float:
        return round(1000 * ordered[min(int(fraction * len(ordered)), len(ordered) - 1)], 1)

    return {
        "requests": len(ordered),
        "failed": failed,
        "p50_ms": percentile_ms(0.5),
        "p99_ms": percentile_ms(0.99),
        "max_ms": percentile_ms(1.0),
    }


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1], int(sys.argv[2]))))
