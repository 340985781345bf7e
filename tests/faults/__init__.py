"""Campaigns of faults: programs that are killed, disks that fill up, processes that share a store and a study.

Each campaign has a short form in the suite and a long one, marked ``campaign``, that ``make faults`` runs.
"""
