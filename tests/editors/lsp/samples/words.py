# Wörter 🔤: counting them.


def count(words):
    counts = {}
    for word in words:
        if word in counts:
            counts[word] = counts[word] + 1
        else:
            counts[word] = 1
    return counts


def longest(words):
    best = ""
    for word in words:
        if len(word) > len(best):
            best = word
    return best


def is_palindrome(text):
    if text == text[::-1]:
        return True
    else:
        return False
