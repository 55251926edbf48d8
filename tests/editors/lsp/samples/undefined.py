"""Names 🖉 that nobody has defined."""


def area(width, height):
    return width * heigth


def greeting(name):
    return "Hello, " + nmae


def double(number):
    result = number * 2
    return reslt
