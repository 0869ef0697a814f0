"""Campaigns at work: when they are due (`schedules`), launching a run of one (`launch`), answering a STOP (`answers`)."""
