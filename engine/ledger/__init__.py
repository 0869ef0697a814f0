"""Owed and happened: messages, attempts, events. The only writers of a state.

The core is six files, to be read in this order: moves, owe, claim, hand_over, settle, doubts. All others stand around them.

owe        a run and what it owes, in one transaction          claim      batches under a lease, and their recovery
hand_over  the durable intent before a provider's call         settle     the provider's answer, made a state
doubts     what is done when no answer came                    record     what webhooks and links report
consent    opt-outs and suppressions                           balance    the books: nothing lost, at any instant
links      where clicks may lead                               schedules  which occurrences are launched already
moves      the one guarded UPDATE that all of them use         brakes     what hands nothing over for now
look_ups   whom vendors are asked about, and what it proves    cancel     what is not to be handed over any more
judge      what a person decides about a doubt, on record       departures who left an audience, and may come back
holds      launches that a guard holds until somebody looks   canaries   runs whose first part leaves ahead
tallies    how campaigns go, for the guards                    posts      how posts to everybody fare
about      which message a report is about                     engagement opens and clicks: whose they were, by `machines`
keywords   what a text asks for                                replies    what may be a no, for a person to read
inboxes    how the mailboxes go that reports come from         invitations  who joined a channel by a message's link
lifting    suppressions, and who lifted one by hand
"""
