"""What Prometheus is told: requests as they are answered, the rest read from the database when it
asks, so that every process of the service says the same."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.database import Database
from app.http.runtime import Service
from app.jobs import repository as jobs
from app.measurements import repository as measurements
from app.studies import view_repository as studies
from app.tuning.state import WAITING

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The numbers of one service, in a registry of its own."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tonnage_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._duration = Histogram(
            "tonnage_http_request_duration_seconds",
            "Time from a request's headers to the end of its answer; event streams are left out.",
            ["method", "route"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_Stored(database))
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    @classmethod
    def of(cls, service: Service) -> Metrics:
        """Those of a running service."""
        return service.part(cls, lambda: cls(service.database))

    def answered(self, method: str, route: str, status: int, duration_s: float | None) -> None:
        """One request. ``route`` is its pattern, so that ids make no new series."""
        method = method if method in METHODS else "other"  # a client may send any word
        key = (method, route, status)
        found = self._series.get(key)
        if found is None:  # finding the series of some labels costs more than counting
            counter = self._requests.labels(method, route, str(status))
            found = self._series[key] = (counter, self._duration.labels(method, route))
        found[0].inc()
        if duration_s is not None:
            found[1].observe(duration_s)

    def text(self) -> bytes:
        """In Prometheus' text format. Reads the database; raises what that raises."""
        return generate_latest(self._registry)


class _Stored(Collector):
    """What the database knows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._busy_s: dict[tuple[str, str], float] = {}
        """What was told last. A counter must not fall, and the time of a job that runs is counted
        from its start, a little longer than what is stored of it in the end."""

    def describe(self) -> list[Metric]:
        """Nothing in advance: registering must not read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        with self._database.read() as session:
            states = studies.counts_by_state(session)
            queue = jobs.counts(session)
            verdicts = measurements.counts_by_verdict(session)
            devices = studies.busy_s_by_device(session)
        yield _gauge("tonnage_studies", "Studies by state.", "state", states)
        waiting = sum(queue.get(state, 0) for state in WAITING)
        yield GaugeMetricFamily(
            "tonnage_queue_depth", "Studies and ablations waiting for a runner.", waiting
        )
        yield _gauge("tonnage_probes", "Stored measurements by verdict.", "verdict", verdicts)
        busy = CounterMetricFamily(
            "tonnage_device_busy_seconds",
            "Time that studies have spent on a device, those under way included.",
            labels=["fingerprint", "device"],
        )
        for device, busy_s in devices.items():
            most_s = self._busy_s[device] = max(busy_s, self._busy_s.get(device, 0.0))
            busy.add_metric(device, most_s)
        yield busy


def _gauge(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=[label])
    for value, count in sorted(values.items()):
        gauge.add_metric([value], count)
    return gauge
