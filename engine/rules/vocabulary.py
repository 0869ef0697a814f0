"""The names a rule may use: attributes, events and their properties from config.yaml, and the workspace's segments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from engine.model import AttributeType
from engine.settings import BUILT_IN_ATTRIBUTES, Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """`broken` names stand in config.yaml with a mistake, or perhaps in a file that cannot be read: nothing more can be said about them.
    A whole section can be broken, too ("attributes"): then its names cannot be told from typing errors.

    campaigns: None where any name is taken, as in an old run's own definition.
    """

    attributes: Mapping[str, AttributeType]
    events: Mapping[str, Mapping[str, AttributeType]]
    segments: frozenset[str]
    time_zone: ZoneInfo
    purposes: frozenset[str] = frozenset()
    campaigns: frozenset[str] | None = None
    lists: frozenset[str] = frozenset()
    broken: frozenset[tuple[str, ...]] = field(default_factory=frozenset)

    @classmethod
    def of(
        cls,
        settings: Settings,
        segments: frozenset[str],
        broken: frozenset[tuple[str, ...]] = frozenset(),
        *,
        campaigns: frozenset[str] | None = None,
        lists: Iterable[str] = (),
    ) -> Vocabulary:
        return cls(
            attributes={**settings.attributes, **BUILT_IN_ATTRIBUTES},
            events=settings.happenings,
            segments=segments,
            time_zone=settings.time_zone,
            purposes=frozenset(settings.purposes),
            campaigns=campaigns,
            lists=frozenset(lists),
            broken=broken,
        )

    def cannot_tell(self, section: str, name: str) -> bool:
        """Whether a file is wrong in a way that leaves open if this name is right."""
        return (section,) in self.broken or (section, name) in self.broken
