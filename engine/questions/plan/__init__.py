"""What would happen if this were live: who, since when, when, through which gates, in which words, at what cost."""

from engine.questions.plan.answer import Plan, Planned, SinceHead, file_of, plan

__all__ = ["Plan", "Planned", "SinceHead", "file_of", "plan"]
