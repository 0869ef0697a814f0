"""From YAML to the syntax tree. Every problem is noted at its place, and reading goes on."""

from engine.rules.read.condition import CONDITIONS, read_condition
from engine.rules.read.reading import Reading
from engine.rules.read.segment import read_segment

__all__ = ["CONDITIONS", "Reading", "read_condition", "read_segment"]
