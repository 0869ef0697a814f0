"""Bringing senders to what is due: two ways, one interface. The ledger is the queue and the truth in both.

dispatcher  what both ways share: the sweeper, the heartbeat      threads  threads of this process that look themselves
tickets     Procrastinate on PostgreSQL: a ticket calls a sender   workers  who is at work, by heartbeats
"""

from engine.sending.dispatch.choose import dispatcher_for
from engine.sending.dispatch.dispatcher import Dispatcher
from engine.sending.dispatch.workers import Kind

__all__ = ["Dispatcher", "Kind", "dispatcher_for"]
