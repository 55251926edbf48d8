#!/usr/bin/env python3
"""A team's server: many recorded sessions at once against one model server; latencies, throughput, and what phi-ls costs.

    benches/team.py PHI_LS TRACE URL [CLIENTS...]     a row for each number of clients (default: 1 8 32)
    benches/team.py PHI_LS TRACE instant              against a server that answers at once: what phi-ls itself takes

Each client is a `phi-ls replay TRACE --server URL` of its own, typing at the recorded pace and cancelling as the editor did.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Instant(BaseHTTPRequestHandler):
    """Answers at once with one token, and records how long that took."""

    protocol_version = "HTTP/1.1"
    took: list[float] = []

    def log_message(self, *_):
        pass

    def respond(self, content_type: str, body: bytes):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.respond("application/json", b'{"data": [{"id": "instant", "owned_by": "lmdeploy"}]}')

    def do_POST(self):
        began = time.perf_counter()
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not request.get("stream"):
            usage = {"prompt_tokens": len(str(request))}
            body = {"choices": [{"message": {"content": "x"}}], "usage": usage}
            return self.respond("application/json", json.dumps(body).encode())
        prefill = request["messages"][-1]["content"]
        text = " x" if not prefill.endswith((" ", "\n")) else "x"
        chunks = [{"choices": [{"delta": {"content": text}, "finish_reason": None}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self.respond("text/event-stream", body.encode())
        self.took.append(time.perf_counter() - began)


def replay(program: str, trace: str, url: str, clients: int) -> dict:
    """Runs `clients` replays at once. Returns their reports, and wall-clock and processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [program, "replay", trace, "--server", url, "--json"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(clients)]
    reports = [json.loads(process.communicate()[0]) for process in processes]
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"reports": reports, "wall": wall, "processor": processor}


def row(clients: int, result: dict) -> str:
    reports, wall = result["reports"], result["wall"]
    total = lambda name: sum(report[name] for report in reports)
    counted = lambda name: sum(report["alone"][name] for report in reports)
    # The latency of texts that the server wrote. If it writes none worth showing, only answers without text are left.
    latency = lambda report, at: report["first_text_of_model_ms"][at] or report["alone"]["latency_of_empty"][f"{at}_ms"] or 0
    medians = sorted(latency(report, "p50") for report in reports)
    worst = max(latency(report, "p90") for report in reports)
    share = 100 * result["processor"] / wall / clients
    return (
        f"| {clients} | {100 * total('shown_in_time') / total('asked'):.0f} % | {medians[len(medians) // 2]:.1f} | {worst:.1f} | "
        f"{counted('generations') / wall:.1f} | {counted('computed_prompt_tokens') / wall:.0f} | {share:.2f} % |"
    )


def main():
    program, trace, url = sys.argv[1:4]
    server = None
    if url == "instant":
        server = ThreadingHTTPServer(("127.0.0.1", 0), Instant)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
    clients = [int(count) for count in sys.argv[4:]] or ([1] if server else [1, 8, 32])
    print("| clients | keys with a text | median ms | worst p90 ms | generations/s | prompt tokens/s | of a core each |")
    print("|---|---|---|---|---|---|---|")
    for count in clients:
        print(row(count, replay(program, trace, url, count)), flush=True)
    if server:
        took = sorted(Instant.took)
        print(f"\nthe server itself took {1000 * took[len(took) // 2]:.1f} ms of each")


if __name__ == "__main__":
    main()
