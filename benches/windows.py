#!/usr/bin/env python3
"""What several windows cost: starts servers as editors do, completes once in each, and measures the memory of all processes.

    benches/windows.py PHI_LS MODEL.gguf [--windows 3] [--alone] [--over MIB]

`--alone` sets `engine.shared` to false, so that each server loads the model itself. Memory is the sum of proportional set sizes
(/proc/*/smaps_rollup), so memory that processes share counts once. With `--over`, it fails if the sum is larger than the model's file
by more than so many MiB.

Then one server and the engine process are killed, and every other server has to complete again.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from lsp_client import Server

MIB = 1 << 20
TEXT = "def add(first, second):\n    return \n\n\nprint(add(1, 2))\n"


class Window(Server):
    """A language server with one open document."""

    def __init__(self, program, model, environment, number):
        super().__init__([program, "serve", "--completion-model", model], environment)
        self.uri = f"file:///tmp/window-{number}.py"
        self.version = 1
        self.open(self.uri, "python", TEXT)

    def seconds(self):
        """The time of a completion that is requested explicitly, and so is not limited."""
        self.version += 1
        # Another text each time, so that no completion is remembered.
        text = TEXT.replace("def add", f"def add_{self.version}")
        self.change(self.uri, self.version, {"text": text})
        return self.complete(self.uri, 1, len(text.split("\n")[1]), is_invoked=True)


def proportional_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) << 10 for line in rollup if line.startswith("Pss:"))


def doctor(program, environment):
    return json.loads(subprocess.run([program, "doctor", "--json"], env=environment, capture_output=True, check=True).stdout)


def engine_processes(program, environment):
    return [process["pid"] for process in doctor(program, environment)["engine"]["processes"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--over", type=int, metavar="MIB")
    options = parser.parse_args()
    program, model = os.path.abspath(options.program), os.path.abspath(options.model)
    with tempfile.TemporaryDirectory() as home:
        os.mkdir(f"{home}/phi-ls")
        os.mkdir(f"{home}/run")
        with open(f"{home}/phi-ls/config.toml", "w") as settings:
            settings.write(f"engine.shared = {str(not options.alone).lower()}\nengine.lingerMinutes = 0\n")
        environment = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_RUNTIME_DIR": f"{home}/run"}
        environment.setdefault("PHI_LS_MODELS", f"{home}/models")
        began = time.monotonic()
        servers = [Window(program, model, environment, number) for number in range(options.windows)]
        times = [server.seconds() for server in servers]
        print(f"{options.windows} servers, each with a completion: {time.monotonic() - began:.1f} s")
        print("completions: " + ", ".join(f"{seconds:.2f} s" for seconds in times))
        engines = engine_processes(program, environment)
        ok = measure(options, model, servers, engines)
        if engines:
            kill_some(program, environment, servers, engines[0])
        for server in servers:
            server.process.kill()
            server.process.wait()
    sys.exit(0 if ok else 1)


def measure(options, model, servers, engines):
    sizes = {f"server {server.process.pid}": proportional_bytes(server.process.pid) for server in servers}
    sizes.update({f"engine {pid}": proportional_bytes(pid) for pid in engines})
    for name, size in sizes.items():
        print(f"{name:16} {size / MIB:8.0f} MiB")
    total, file = sum(sizes.values()), os.path.getsize(model)
    print(f"{'together':16} {total / MIB:8.0f} MiB, {(total - file) / MIB:.0f} MiB more than the file")
    return options.over is None or total <= file + options.over * MIB


def kill_some(program, environment, servers, engine):
    servers.pop().process.kill()
    print("a server is killed; the others complete: " + ", ".join(f"{server.seconds():.2f} s" for server in servers))
    os.kill(engine, signal.SIGKILL)
    print("the engine is killed; they complete: " + ", ".join(f"{server.seconds():.2f} s" for server in servers))
    again = engine_processes(program, environment)
    print(f"engine processes now: {again}, before: {engine}")
    if len(again) != 1 or again[0] == engine:
        sys.exit("expected one new engine process")


if __name__ == "__main__":
    main()
