"""The loop that claims, decides, renders, sends and settles.

sender     threads, each with one message in flight          hand_over  one message from decision to answer
runs       what a run's messages have in common              retry      when a message surely not taken is tried again
providers  the vendors of config.yaml, opened
"""
