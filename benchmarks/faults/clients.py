"""Those who use the service meanwhile, and what they were told."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.client import Client
from app.client.errors import ConflictError, ProblemError, UnavailableError
from benchmarks.service.fill import measurement

WORKLOAD = "sent by clients"
AT_ONCE = 3
"""Studies that are waiting or running at a time."""
CANCELLED_SHARE = 0.15


@dataclass
class Ledger:
    """What the service has acknowledged. Keys of measurements are their batch sizes, so that a
    measurement that is stored twice, or was never sent, is seen."""

    sent: int = 0
    measurements: dict[int, int] = field(default_factory=dict)
    """Batch size to id."""
    studies: set[str] = field(default_factory=set)
    events: dict[str, int] = field(default_factory=dict)
    """Study to the last event that a watcher has seen."""
    over: set[str] = field(default_factory=set)
    """Studies whose watcher was told that they are over."""
    refused: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    """What must never happen."""


class Clients:
    """Threads that send, ask and watch until they are stopped.

    ``ask`` gives the question of the nth study. What is refused for a while is sent again, as the
    same request, until it is acknowledged.
    """

    def __init__(self, url: str, seed: int, ask: Callable[[int], dict[str, object]]) -> None:
        self.ledger = Ledger()
        self._url = url
        self._chance = random.Random(seed)
        self._ask = ask
        self._serial = itertools.count(1)
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, writers: int) -> None:
        for _ in range(writers):
            self._begin(self._send)
        self._begin(self._start_studies)

    def stop(self) -> None:
        """Nothing new; what was sent is still to be acknowledged, and studies are watched on."""
        self._stopping.set()

    @property
    def are_waiting(self) -> bool:
        """For an answer, or for the end of a study."""
        return any(thread.is_alive() for thread in self._threads)

    def give_up(self) -> None:
        """Whoever waits still has waited in vain."""
        left = [thread.name for thread in self._threads if thread.is_alive()]
        if left:
            self.ledger.broken.append(f"never answered: {', '.join(left)}")
        self._giving_up.set()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(
            target=work, args=arguments, daemon=True, name=f"{work.__name__} {arguments}"
        )
        self._threads.append(thread)
        thread.start()

    def _send(self) -> None:
        with Client(self._url, timeout_s=20) as client:
            while not self._stopping.wait(0.1):
                batch_size = next(self._serial)
                self.ledger.sent = max(self.ledger.sent, batch_size)
                self._once(client, batch_size)
                if batch_size % 20 == 0:  # an answer that was lost: the same request again
                    self._once(client, batch_size)

    def _once(self, client: Client, batch_size: int) -> None:
        run = replace(measurement(batch_size), workload=WORKLOAD)

        def post() -> int:
            return client.add_measurement(
                run,
                workload_hash="abc123",
                fingerprint="f" * 16,
                idempotency_key=f"probe-{batch_size}",
            ).id

        found = self._until_answered(post)
        before = self.ledger.measurements.setdefault(batch_size, found or 0)
        if found != before:
            self.ledger.broken.append(f"measurement {batch_size} is {before} and then {found}")

    def _start_studies(self) -> None:
        with Client(self._url, timeout_s=20) as client:
            for number in itertools.count():
                while len(self.ledger.studies - self.ledger.over) >= AT_ONCE:
                    if self._stopping.wait(0.2):
                        return
                if self._stopping.is_set():
                    return
                question, key = self._ask(number), f"study-{number}"
                study = self._until_answered(
                    lambda question=question, key=key: client.start_study(
                        idempotency_key=key,
                        **question,  # type: ignore[arg-type]
                    )
                )
                if study is not None:
                    self.ledger.studies.add(study.id)
                    self._begin(self._watch, study.id)
                if study is not None and self._chance.random() < CANCELLED_SHARE:
                    self._stopping.wait(self._chance.uniform(0, 5))
                    self._until_answered(lambda study=study: client.cancel_study(study.id))

    def _watch(self, study_id: str) -> None:
        """Every event once, numbered without a gap, whatever happens to the connection."""
        ledger = self.ledger
        ledger.events[study_id] = 0
        while not self._giving_up.is_set():
            try:
                with Client(self._url, timeout_s=20) as client:
                    for event in client.events(study_id, after=ledger.events[study_id]):
                        if event.id != ledger.events[study_id] + 1:
                            ledger.broken.append(
                                f"{study_id}: event {event.id} after {ledger.events[study_id]}"
                            )
                        ledger.events[study_id] = event.id
                ledger.over.add(study_id)
                return
            except UnavailableError as error:
                ledger.refused[error.kind] += 1
            except ProblemError as error:
                ledger.broken.append(f"watching {study_id}: {error}")
                return

    def _until_answered(self, request: Callable[[], object]) -> object:
        """The answer; ``None`` for a refusal that is final, which only a conflict may be."""
        while not self._giving_up.is_set():
            try:
                return request()
            except UnavailableError as error:
                self.ledger.refused[error.kind] += 1
                self._giving_up.wait(0.2)
            except ConflictError as error:  # cancelling what is over already
                self.ledger.refused[error.kind] += 1
                return None
            except ProblemError as error:
                self.ledger.broken.append(str(error))
                return None
        return None
