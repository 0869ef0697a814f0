"""Is this installation fit to keep its promises? The books proved, the database, secrets, vendors, DNS and clocks looked at."""

from engine.questions.doctor.answer import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
