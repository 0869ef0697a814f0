"""Whether: may this message leave now? One gate a file; the first that objects decides, and says why."""

from engine.policy.decide import decide
from engine.policy.facts import Facts, gather
from engine.policy.verdict import Hold, Send, Verdict, Withhold

__all__ = ["Facts", "Hold", "Send", "Verdict", "Withhold", "decide", "gather"]
