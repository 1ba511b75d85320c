import asyncio

from aioqueue import AioQueue

app = AioQueue("hello")  # on a private server, which is started when it is needed


@app.task
async def add(x: int, y: int) -> int:
    return x + y


async def main() -> None:
    async with app.worker(concurrency=10):
        result = await add.send(2, 3)
        print(await result.get(timeout=5))


if __name__ == "__main__":
    asyncio.run(main())
