"""Plane shapes 📐, sizes in metres."""

import math


def circle_area(radius):
    return math.pi * radius ** 2


def rectangle_area(width, height):
    return width * height


def perimeter(sides):
    total = 0
    for side in sides:
        total = total + side
    return total
