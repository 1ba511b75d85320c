"""A pool of child processes, in which functions run that compute: `@app.task(pool="process")`, `--pool processes`.

Each child is a new interpreter (spawn) that imports the app once, and then runs one call after the other. It is never a
fork of the worker: that has threads and an event loop, and a fork copies the locks which other threads hold at that
moment, to be waited for for ever, and shares the sockets of the broker. Nor is it forked from a server that has
imported the app before (forkserver): what that saves is the import, and what it costs is that libraries with threads of
their own, such as numpy's, find themselves in a process where these do not run.

`pool` gives calls to children, `process` is one child as its worker sees it, `child` is where that begins, and
`calling` what it does. They speak in `frames`. All of it is imported when a task asks for it.
"""
