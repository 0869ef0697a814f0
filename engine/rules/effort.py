"""How much a condition costs a database for one customer: the cheap ones are asked first, and often settle it.

SQLite asks in the order of the statement; PostgreSQL keeps to it inside `or`. Measured with a million customers: a rule of two
aggregates and one `not` took 1.6 times as long in the order of its file.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.rules.measures import MEASURES
from engine.rules.syntax import (
    Attribute,
    Condition,
    Consented,
    Did,
    Got,
    InSegment,
    Lot,
    OnList,
    Reachable,
    Rfm,
    Segment,
    parts,
)

ROW, LOOK, RANGE, WHOLE_RANGE, EVENTS, EVERYBODY = range(6)
"""What is read: the customer's own row; one place in the index; a window of the index; all of it; the events themselves;
everybody's events.
"""


def effort(condition: Condition, segments: Mapping[str, Segment]) -> int:
    """The greatest effort of any part. A segment that is not there costs nothing: it fails later, at its place."""
    match condition:
        case Attribute() | Lot() | OnList():
            return ROW
        case Consented() | Reachable() | Got(measured=None):
            return LOOK
        case Did() | Got() if condition.measured and condition.measured.best is not None:
            return EVERYBODY
        case Got():
            return WHOLE_RANGE
        case Did():
            return _of_events(condition)
        case Rfm():
            return EVERYBODY
        case InSegment():
            found = segments.get(condition.segment)
            return effort(found.who, segments) if found else ROW
    return max((effort(part, segments) for part in parts(condition)), default=EVENTS)


def _of_events(did: Did) -> int:
    if did.where or did.then or (did.measured and did.measured.of):
        return EVENTS
    if did.measured is None or MEASURES[did.measured.measure].name in ("last", "first"):
        return LOOK
    return RANGE if did.within else WHOLE_RANGE
