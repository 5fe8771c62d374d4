"""One study's memory on the database (``optimizer.records.Store``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from app.database import Database
from app.database.fence import Fence, open_to_all
from app.measurements import repository as measurements
from app.measurements.service import CONCLUSIVE
from app.tuning import claims, repository, service
from app.tuning.owner import this_process
from optimizer.records import Grade, Prediction, StudySpec, Trial
from probes.measurement import Config, Measurement, Purpose


class SqlStudyStore:
    """Every ``add`` is one transaction that has been committed when it returns.

    The study must have been opened with ``app.tuning.service.open_study``. ``fence`` refuses what a
    process stores that no longer has the right to.
    """

    def __init__(
        self, database: Database, study_id: str, spec: StudySpec, fence: Fence = open_to_all
    ) -> None:
        self._database = database
        self._fence = fence
        self._study_id = study_id
        self._scope_key = spec.scope.key
        self._owner = this_process()
        self._fingerprint = spec.scope.fingerprint
        study = service.get(database, study_id)
        self._not_before = study.created_at if study.fresh else None

    def find_measurement(
        self, config: Config, batch_size: int, purpose: Purpose
    ) -> Measurement | None:
        """A measurement of the study's scope that may be used instead of a new probe.

        The study's own with any verdict, tainted ones where there is no clean one; others' only if
        they are clean and about the config itself, and for a fresh study only those made since it
        began. What is reused is listed with the study.
        """
        with self._database.read() as session:
            found = measurements.find(
                session,
                self._scope_key,
                config,
                batch_size,
                purpose,
                conclusive=CONCLUSIVE,
                study_id=self._study_id,
                not_before=self._not_before,
            )
            if found is None:
                return None
            linked = measurements.is_linked(session, self._study_id, found.id)
        if not linked:
            with self._writing() as session:
                measurements.link(session, self._study_id, found.id, reused=True)
        return found.measurement

    def add_measurement(
        self, trial_number: int, measurement: Measurement, predictions: list[Prediction]
    ) -> None:
        with self._writing() as session:
            measurement_id = measurements.add(
                session,
                self._scope_key,
                measurement,
                fingerprint=self._fingerprint,
                study_id=self._study_id,
                trial_number=trial_number,
                predictions=predictions,
            )
            measurements.link(session, self._study_id, measurement_id, reused=False)
            repository.touch(session, self._study_id)

    def trials(self) -> list[Trial]:
        """Settled trials in the order of their numbers."""
        with self._database.read() as session:
            return repository.trials(session, self._study_id)

    def add_trial(self, trial: Trial) -> None:
        """The same number again replaces it: a run that was killed may settle it twice."""
        with self._writing() as session:
            repository.save_trial(session, self._study_id, trial)
            claims.release(session, self._study_id, trial.config)
            repository.touch(session, self._study_id)

    def claim(self, config: Config) -> int | None:
        """The number of the config's trial, if this process may settle it; see ``claims``."""
        with self._writing() as session:
            return claims.claim(session, self._study_id, config, self._owner)

    def busy(self) -> list[Config]:
        """Configs that other processes that are alive have claimed and not settled yet."""
        with self._database.read() as session:
            return claims.busy(session, self._study_id, self._owner)

    def measurements(self) -> list[Measurement]:
        """Every measurement this study used, its own and reused ones, oldest first."""
        with self._database.read() as session:
            records = measurements.of_study(session, self._study_id)
        return [record.measurement for record in records]

    def grades(self) -> list[Grade]:
        """The predictions of the study's own measurements, oldest first."""
        with self._database.read() as session:
            return measurements.grades(session, self._study_id)

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with self._database.write() as session:
            self._fence(session)
            yield session
