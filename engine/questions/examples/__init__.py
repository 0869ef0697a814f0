"""The marketer's own tests of the rules (rules/tests/*.yaml), on the same path that live messages take.

example   a test as values               read, people, expectations, ground   from YAML, with every error at its place
perform   on a database of its own       compare   expected against got        schema   for editors
"""
