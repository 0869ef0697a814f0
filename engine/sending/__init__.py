"""The loop that claims, decides, renders, sends and settles.

sender     threads that claim batches                          prepare    one message: decided and written
hand_over  groups: intents committed, sent, answers committed  retry      when a message surely not taken is tried again
turns      whose turn it is among the bulk runs                slots      how much may be on its way at once
runs       what a run's messages have in common                providers  the vendors of config.yaml, opened
reconcile  messages in doubt, looked up at their vendors      watch      campaigns that go badly, and canaries
"""
