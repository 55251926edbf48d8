#!/usr/bin/env python3
"""What the matrix kernels cost on processors that are not at hand: cycles of one superblock (16 rows by 256 columns)
by static analysis, and instructions.

    benches/cycles.py [--level avx2] [--types q4_k,q5_k,...] [--rows 1,2,4,8] [--markdown]

Builds the kernels' bench, runs one small product under gdb, records the instructions of one superblock as they are
executed (so loops and calls are followed), and hands them to llvm-mca as one loop body. llvm-mca assumes that every
load hits the first cache; what it gives is the time that computing takes, which has to be less than the time the bytes
take to arrive. Needs gdb, objdump and llvm-mca (`--mca` names another one; version 15 or newer knows alderlake).
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

PROCESSORS = ["znver3", "skylake", "alderlake"]
TYPES = ["q4_k", "q5_k", "q6_k", "q2_k", "q3_k", "q8_0", "q4_0", "q4_1"]
# Three superblocks, of which the second one is at neither end.
COLUMNS = 768

TRACER = r"""
import gdb
gdb.execute("set pagination off")
gdb.execute("set disable-randomization on")
gdb.Breakpoint("traced_product", type=gdb.BP_BREAKPOINT)
gdb.execute("run")
addresses = []
frame = gdb.newest_frame().older()
end = frame.pc()
while True:
    pc = gdb.newest_frame().pc()
    if pc == end:
        break
    addresses.append(pc)
    gdb.execute("stepi", to_string=True)
base = [int(line.split()[0], 16) for line in gdb.execute("info proc mappings", to_string=True).splitlines()
        if PROGRAM in line][0]
with open(OUTPUT, "w") as out:
    out.write(f"{base}\n" + "\n".join(map(str, addresses)))
gdb.execute("kill")
"""


def build():
    command = ["cargo", "bench", "--bench", "kernels", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    artifacts = [json.loads(line) for line in lines]
    return next(a["executable"] for a in artifacts if a.get("executable") and a["target"]["name"] == "kernels")


def disassemble(program):
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", program], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    instructions = {}
    for line in text.splitlines():
        match = re.match(r"\s+([0-9a-f]+):\t(.+)", line)
        if match:
            code = re.sub(r"\s*#.*|\s*<[^>]*>", "", match[2]).strip()
            instructions[int(match[1], 16)] = code
    return instructions


def trace(program, level, quant, rows):
    """Addresses of the instructions of one product, as they were executed, relative to the program."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "trace"
        script = pathlib.Path(folder) / "tracer.py"
        script.write_text(f"OUTPUT = {str(output)!r}\nPROGRAM = {program!r}\n{TRACER}")
        arguments = ["--kernels", level, "--once", quant, str(rows), str(COLUMNS)]
        command = ["gdb", "-q", "-batch", "-x", str(script), "--args", program, *arguments]
        run = subprocess.run(command, capture_output=True, text=True)
        if not output.exists():
            sys.exit(f"expected a trace of {quant}, found none: {run.stderr[-2000:]}")
        base, *addresses = map(int, output.read_text().split())
    return [address - base for address in addresses]


def one_superblock(addresses):
    """The part of a trace between the second and the third visit of an instruction that runs once per superblock."""
    visits = collections.defaultdict(list)
    for i, address in enumerate(addresses):
        visits[address].append(i)
    # Of those addresses, the one whose visits are most evenly spaced; others begin or end the loop.
    superblocks = COLUMNS // 256
    regular = [v for v in visits.values() if len(v) == superblocks and v[1] - v[0] == v[2] - v[1]]
    _, second, third = max(regular or [v for v in visits.values() if len(v) == superblocks], key=lambda v: v[2] - v[0])
    return addresses[second:third]


def is_straight(code):
    return not re.match(r"(j|call|ret|nop|data16|cs nop|endbr|xchg\s+%ax,%ax|ud2|lea .*%rip)", code)


def cycles(mca, code, processor):
    rounds = 50
    command = [mca, f"-mcpu={processor}", f"-iterations={rounds}", "-instruction-info=false", "-resource-pressure=false"]
    run = subprocess.run(command, input="\n".join(code), capture_output=True, text=True)
    match = re.search(r"Total Cycles:\s+(\d+)", run.stdout)
    if not match:
        sys.exit(f"llvm-mca said: {run.stderr[-2000:]}")
    return int(match[1]) / rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--level", default="avx2")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--rows", default="1,2,4,8")
    parser.add_argument("--mca", default="llvm-mca")
    parser.add_argument("--program", help="a bench that is built already")
    parser.add_argument("--show", action="store_true", help="print the instructions instead")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    program = options.program or build()
    instructions = disassemble(program)
    separator = " | " if options.markdown else "  "
    header = ["type", "rows", "instructions", *PROCESSORS]
    if options.markdown:
        print("| " + separator.join(header) + " |\n|" + "---|" * len(header))
    else:
        print(separator.join(f"{name:>12}" for name in header))
    for quant in options.types.split(","):
        for rows in map(int, options.rows.split(",")):
            addresses = one_superblock(trace(program, options.level, quant, rows))
            # Code of the C library, which sets memory for example, is not part of the program.
            code = [instructions[address] for address in addresses if address in instructions]
            code = [line for line in code if is_straight(line)]
            if options.show:
                print("\n".join(code))
                continue
            figures = [f"{cycles(options.mca, code, processor):.0f}" for processor in PROCESSORS]
            row = [quant, str(rows), str(len(code)), *figures]
            if options.markdown:
                print("| " + separator.join(row) + " |", flush=True)
            else:
                print(separator.join(f"{value:>12}" for value in row), flush=True)


if __name__ == "__main__":
    main()
