"""`regulars demo`: real purchases of 1997–98, invented people, and the whole path of every message, on one machine.

purchases (real) and people (invented) → workspace → play: the daemon on a stepped clock, local stand-ins of the vendors,
and the crowd, which receives, opens, clicks and answers → screen.
"""
