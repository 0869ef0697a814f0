"""Campaigns at work: when they are due (`schedules`), and launching a run of one (`launch`)."""
