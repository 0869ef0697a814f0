"""Files and requests in: customers and events, checked row by row, the good ones kept and the bad ones explained."""

from engine.intake.customers import import_customers, take_customers
from engine.intake.events import import_events, take_events
from engine.intake.imported import Imported
from engine.intake.result import Fate, Taken

__all__ = ["Fate", "Imported", "Taken", "import_customers", "import_events", "take_customers", "take_events"]
