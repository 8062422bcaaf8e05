"""Cells that belong together, found by walking from cell to cell."""


def groups(cases, families):
    """Number groups by comparing every two cells, again and again, until nothing changes."""
    n = len(cases)
    number = list(range(n))
    changed = True
    while changed:
        changed = False
        for i in range(n):
            for j in range(n):
                same_case = cases[i] is not None and cases[i] == cases[j]
                if (same_case or families[i] == families[j]) and number[i] != number[j]:
                    number[i] = number[j] = min(number[i], number[j])
                    changed = True
    seen = list(dict.fromkeys(number))
    return [seen.index(each) for each in number]


def torn(numbers, sides):
    """List the groups that stand on more than one side."""
    found = []
    for number in sorted(set(numbers)):
        places = {sides[i] for i in range(len(sides)) if numbers[i] == number}
        if len(places) > 1:
            found.append(number)
    return found
