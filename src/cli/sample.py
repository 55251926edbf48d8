"""Grades of a class: the sample that `phi-ls try` completes and explains."""


def read_grades(path):
    """Read one grade per line and return them as a list of numbers."""
    grades = []
    with open(path) as file:
        for line in file:
            grades.append(float(line.strip()))
    return grades


def average(grades):
    """Return the mean of the grades."""
    total = 0
    for grade in grades:
        total += grade
    return total / len(grades)


def highest(grades):
    """Return the highest grade."""
    best = grades[0]
    for grade in grades:
        if grade > 
    return best
