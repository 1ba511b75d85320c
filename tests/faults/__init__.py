"""Promises D1 to D7 and D9, shown with a real server and real processes that are killed, frozen and cut off.

Nothing here sleeps and hopes: a test waits for what it says, with a patience that no machine should need. Times are
asserted only where a promise states one.
"""
