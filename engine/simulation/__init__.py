"""The whole daemon over a stepped clock and a copy of the database: what would have gone out, and nothing does.

play    copies, steps, counts        past    the copy as it was at the first moment        calendar    what came of it
"""
