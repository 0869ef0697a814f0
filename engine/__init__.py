"""Regulars: the path of a message, one line a hop.

1. `daemon` (the clock) or `web` (HTTP)   is it time, or did someone ask?
2. `campaigns.launch`                     what run is this? The same occurrence is the same run
3. `rules.compile` → `ledger.owe`         who is owed what? One INSERT … SELECT, unique on the intent
4. `ledger.claim`                         which are due, and mine? A batch under a lease
5. `policy.decide`                        may we, now? Send, Hold(until) or Withhold(reason)
6. `content.render`                       what do we say?
7. `provider.send` → `ledger.settle`      did the vendor take it?

The way back: webhook → `provider.parse_events`, or mailbox → `Inbox.fetch` → `ledger.record` → settle forward. Nothing
else changes a state.
"""
