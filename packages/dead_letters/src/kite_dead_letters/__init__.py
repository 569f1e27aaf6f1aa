"""The engine of dead-letter triage: classify, store, redrive, page."""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_dead_letters.classify import Classifier as Classifier  # pants: no-infer-dep
    from kite_dead_letters.records import (
        ClassifiedRecord as ClassifiedRecord,  # pants: no-infer-dep
    )
    from kite_dead_letters.redrive.redriver import Redriver as Redriver  # pants: no-infer-dep
    from kite_dead_letters.service import IntakeService as IntakeService  # pants: no-infer-dep

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "classify": "Classifier",
        "records": "ClassifiedRecord",
        "redrive.redriver": "Redriver",
        "service": "IntakeService",
    },
)
