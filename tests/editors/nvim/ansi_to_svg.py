#!/usr/bin/env python3
"""A terminal screen with SGR colours on standard input, as an SVG picture on standard output."""

import html
import re
import sys
import unicodedata

CELL_WIDTH, LINE_HEIGHT, FONT_SIZE, MARGIN = 8.4, 19, 14, 14
FOREGROUND, BACKGROUND = "#e0e2ea", "#14161b"
# The 16 colours a terminal has by number.
BASIC = (
    "#07080d #ffc0b9 #b3f6c0 #fce094 #a6dbff #ffcaff #8cf8f7 #eef1f8 "
    "#4f5258 #ffc0b9 #b3f6c0 #fce094 #a6dbff #ffcaff #8cf8f7 #ffffff"
).split()
PLAIN = {"fg": None, "bg": None, "bold": False, "italic": False, "underline": False, "reverse": False}
SWITCHES = {1: ("bold", True), 22: ("bold", False), 3: ("italic", True), 23: ("italic", False)}
SWITCHES |= {4: ("underline", True), 24: ("underline", False), 7: ("reverse", True), 27: ("reverse", False)}


def palette(number):
    """A colour of the 256-colour palette."""
    if number < 16:
        return BASIC[number]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    number -= 16
    return "#" + "".join(f"{[0, 95, 135, 175, 215, 255][number // scale % 6]:02x}" for scale in (36, 6, 1))


def apply(style, codes):
    """The style after one SGR sequence."""
    style, codes = dict(style), list(codes)
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = dict(PLAIN)
        elif code in SWITCHES:
            key, value = SWITCHES[code]
            style[key] = value
        elif code in (38, 48):
            key = "fg" if code == 38 else "bg"
            if codes.pop(0) == 2:
                style[key] = "#" + "".join(f"{codes.pop(0):02x}" for _ in range(3))
            else:
                style[key] = palette(codes.pop(0))
        elif code in (39, 49):
            style["fg" if code == 39 else "bg"] = None
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style["fg"] = BASIC[code - 30 if code < 90 else code - 82]
        elif 40 <= code <= 47 or 100 <= code <= 107:
            style["bg"] = BASIC[code - 40 if code < 100 else code - 92]
    return style


def cells(text):
    """How many columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def runs(line, style):
    """Pieces of a line that look alike, as (column, text, style), and the style at its end."""
    out, column = [], 0
    # Text and the codes after it in turn; no codes: a change of character set, which looks the same.
    parts = re.split(r"\x1b\[([\d;:]*)m|\x1b[()][0-9A-Z]", line) + [None]
    for text, codes in zip(parts[::2], parts[1::2]):
        if text:
            out.append((column, text, style))
            column += cells(text)
        if codes is not None:
            style = apply(style, [int(code or 0) for code in re.split("[;:]", codes)])
    return out, style


def draw(column, row, text, style):
    foreground, background = style["fg"] or FOREGROUND, style["bg"]
    if style["reverse"]:
        foreground, background = background or BACKGROUND, foreground
    x, y = MARGIN + column * CELL_WIDTH, MARGIN + row * LINE_HEIGHT
    width = cells(text) * CELL_WIDTH
    out = []
    if background and background != BACKGROUND:
        out.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{LINE_HEIGHT}" fill="{background}"/>')
    # Several blanks in a row count as one in SVG: each stretch between them has a place of its own.
    for stretch in re.finditer(r"\S+(?: \S+)*", text):
        at = x + cells(text[: stretch.start()]) * CELL_WIDTH
        length = cells(stretch[0]) * CELL_WIDTH
        attributes = f'x="{at:.1f}" y="{y + FONT_SIZE}" fill="{foreground}" textLength="{length:.1f}"'
        if style["bold"]:
            attributes += ' font-weight="bold"'
        if style["italic"]:
            attributes += ' font-style="italic"'
        if style["underline"]:
            attributes += ' text-decoration="underline"'
        out.append(f"<text {attributes}>{html.escape(stretch[0])}</text>")
    return out


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    style, parts, columns = dict(PLAIN), [], 0
    for row, line in enumerate(lines):
        pieces, style = runs(line, style)
        for column, text, look in pieces:
            parts += draw(column, row, text, look)
            columns = max(columns, column + cells(text))
    width, height = 2 * MARGIN + columns * CELL_WIDTH, 2 * MARGIN + len(lines) * LINE_HEIGHT
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" '
        f'font-size="{FONT_SIZE}">'
    )
    print(f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>')
    print("\n".join(parts))
    print("</svg>")


if __name__ == "__main__":
    main()
