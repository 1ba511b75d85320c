"""`aioqueue demo`: a task for each file of a folder, worker processes to run them, and one of them killed on the way.

What is shown is measured: by the records that the queue keeps, and by a ledger beside it that it knows nothing of, in
which each run of the task leaves a line when it begins and one when it ends.
"""
