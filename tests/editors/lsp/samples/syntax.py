"""A colon 🕳 is missing."""


def mean(numbers)
    return sum(numbers) / len(numbers)
