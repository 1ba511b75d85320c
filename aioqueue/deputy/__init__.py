"""A deputy renews a worker's lease where the worker cannot: a small process beside `aioqueue worker`.

The thread that renews needs the interpreter. A function in C that does not release it, such as a regular expression
that backtracks for minutes, holds up all threads of its process, and the worker would be taken for dead (D3). The
deputy waits until nothing is heard of that thread, and then renews for as long as the kernel says that the process
lives and works: it is not stopped, and uses CPU time. A worker that is stopped, dead, or stands still for ever loses
its lease as before.

`appointing` is the worker's side, `deputy` where the process begins, and `kernel` what that looks at. Until it has to
renew it imports nothing but a few modules of the standard library: that is all the memory that it takes.
"""
