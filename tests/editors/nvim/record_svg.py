#!/usr/bin/env python3
"""Watches a tmux pane until standard input ends, and draws what happened there as an animated SVG on standard output.

    record_svg.py SOCKET-NAME < FIFO > FILE.svg

A line of the screen is drawn once for each look that it has, and shown while it has it. With reduced motion, the last screen is shown.
"""

import select
import subprocess
import sys
import time

from ansi_to_svg import BACKGROUND, CELL_WIDTH, FONT_SIZE, LINE_HEIGHT, MARGIN, PLAIN, draw, runs

# How often the screen is looked at, and how long the last one stands before the picture begins again, in seconds.
PERIOD, REST = 0.04, 3.0
FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def look(socket):
    """The lines of the screen, and the cursor's column and line."""
    command = ["tmux", "-L", socket, "capture-pane", "-p", "-e", ";", "display-message", "-p", "#{cursor_x} #{cursor_y}"]
    *lines, cursor = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip("\n").split("\n")
    column, line = cursor.split()
    return lines, (int(column), int(line))


def watch(socket):
    """Screens that differ from the one before, each with the seconds since the first."""
    frames, start = [], time.monotonic()
    while not select.select([sys.stdin], [], [], PERIOD)[0]:
        screen = look(socket)
        if not frames or frames[-1][1:] != screen:
            frames.append((time.monotonic() - start, *screen))
    return frames


def drawn(lines):
    """What each line of a screen is drawn with."""
    style, out = dict(PLAIN), []
    for row, line in enumerate(lines):
        pieces, style = runs(line, style)
        out.append("".join("".join(draw(column, row, text, look)) for column, text, look in pieces))
    return out


def stretches(frames, length):
    """For each line and look: when it is shown, as starts and ends."""
    shown = {}
    ends = [frame[0] for frame in frames[1:]] + [length]
    for (start, lines, _), end in zip(frames, ends):
        for row, look in enumerate(drawn(lines)):
            times = shown.setdefault((row, look), [])
            if times and times[-1][1] == start:
                times[-1][1] = end
            elif look:
                times.append([start, end])
    return {key: times for key, times in shown.items() if times}


def percent(seconds, length):
    return f"{100 * seconds / length:.2f}%"


def main():
    frames = watch(sys.argv[1])
    length = frames[-1][0] + REST
    columns, rows = 80, max(len(lines) for _, lines, _ in frames)
    width, height = 2 * MARGIN + columns * CELL_WIDTH, 2 * MARGIN + rows * LINE_HEIGHT
    rules, parts = [], []
    for number, ((_, look), times) in enumerate(stretches(frames, length).items()):
        if times == [[0, length]] or (len(times) == 1 and times[0][0] == frames[0][0] and times[0][1] == length):
            parts.append(look)
            continue
        stops = "0%{visibility:hidden}" if times[0][0] > frames[0][0] else ""
        for start, end in times:
            stops += f"{percent(0 if start == frames[0][0] else start, length)}{{visibility:visible}}"
            stops += f"{percent(end, length)}{{visibility:hidden}}" if end < length else ""
        rules.append(f"@keyframes l{number}{{{stops}}}#l{number}{{animation-name:l{number}}}")
        last = ' class="last"' if times[-1][1] == length else ""
        parts.append(f'<g id="l{number}"{last}>{look}</g>')
    stops = ""
    for index, (start, _, (column, line)) in enumerate(frames):
        x, y = MARGIN + column * CELL_WIDTH, MARGIN + line * LINE_HEIGHT
        stops += f"{percent(start if index else 0, length)}{{x:{x:.1f}px;y:{y}px}}"
    rules.append(f"@keyframes cursor{{{stops}}}#cursor{{animation-name:cursor;x:{x:.1f}px;y:{y}px}}")
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="{FONT}" font-size="{FONT_SIZE}">'
    )
    print(f"<style>g[id]{{visibility:hidden}}g[id],#cursor{{animation:0s step-end infinite;animation-duration:{length:.2f}s}}")
    print("\n".join(rules))
    print("@media(prefers-reduced-motion:reduce){g[id],#cursor{animation:none}.last{visibility:visible}}</style>")
    print(f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>')
    print(f'<rect id="cursor" width="{CELL_WIDTH}" height="{LINE_HEIGHT}" fill="#9b9ea4" opacity="0.6"/>')
    print("\n".join(parts))
    print("</svg>")


main()
