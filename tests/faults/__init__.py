"""The fault harness: the real daemon against vendors that misbehave, killed and starved again and again, and judged.

record     what a vendor truly took, on disk          courier    a provider made for this, and its vendor
shop       the workspace and the database             launcher   the process that makes daemons, with crash points
fleet      starts, kills, pauses, restarts daemons    proxy      the wire between: refuses, cuts, kills at a byte
plan       what a seed draws                          trial      one run of it, from the first daemon to the verdicts
oracle     I1 to I12, each a check with a verdict     scoreboard many trials, added up

`make faults` runs the long form; `python -m tests.faults --only sqlite-blind-17` runs one trial again.
"""
