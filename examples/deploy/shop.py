"""The app of these files: a task, and a schedule."""

from aioqueue import AioQueue, every

app = AioQueue("shop")  # its broker is AIOQUEUE_BROKER


@app.task
async def add(x: int, y: int) -> int:
    return x + y


@app.periodic(every(minutes=10), args=(1, 2))
@app.task
async def report(x: int, y: int) -> int:
    return x + y
