"""A web page that starts a task and follows it while it runs, with a worker inside of the web program.

$ pip install fastapi uvicorn
$ uvicorn --app-dir examples fastapi_progress:api      and open http://127.0.0.1:8000
"""

import ast
import json
import sysconfig
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse

from aioqueue import AioQueue, TaskContext

app = AioQueue("survey")
api = FastAPI(lifespan=app.asgi_lifespan(worker=True))
Package = Literal["asyncio", "email", "json"]


@dataclass
class Survey:
    files: int
    functions: int


@app.task(bind=True)
def survey(ctx: TaskContext, package: Package) -> Survey:
    """Count the functions of a package of the standard library."""
    files = sorted(Path(sysconfig.get_path("stdlib"), package).rglob("*.py"))
    functions = 0
    for number, file in enumerate(files, 1):
        tree = ast.parse(file.read_bytes())
        functions += sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))
        ctx.progress(number, len(files))
    return Survey(len(files), functions)


@api.post("/surveys/{package}", status_code=202)
async def start(package: Package) -> dict[str, str]:
    return {"id": (await survey.send(package)).id}


@api.get("/surveys/{id}/events")
async def events(id: str) -> StreamingResponse:
    async def stream() -> AsyncIterator[str]:
        async for info in app.result(id).watch():
            yield f"data: {json.dumps(info.to_dict())}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@api.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse("""<!doctype html><title>Survey</title>
<p>Count the functions of <button>asyncio</button> <button>email</button> <button>json</button>
<p><progress value=0></progress> <output>nothing yet</output>
<script>
const bar = document.querySelector("progress"), output = document.querySelector("output");
for (const button of document.querySelectorAll("button")) button.onclick = async () => {
  const answer = await fetch("/surveys/" + button.textContent, {method: "POST"});
  const events = new EventSource("/surveys/" + (await answer.json()).id + "/events");
  events.onmessage = message => {
    const {state, meta, result} = JSON.parse(message.data);
    if (meta) { bar.max = meta.total; bar.value = meta.done; }
    output.textContent = result ? `${result.functions} functions in ${result.files} files` : state;
    if (["SUCCESS", "FAILURE", "REVOKED"].includes(state)) events.close();
  };
};
</script>""")
