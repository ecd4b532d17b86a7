"""Numbers with as many digits as matter to a reader."""


def plain_number(value: float | None) -> str:
    """Return a number with two decimals, or with two digits where two decimals would hide it.

    Close to 0 and to 1 the two digits are those of the distance, so that .9987 is not 1.

    Args:
        value: None: a number that does not exist.

    Example:
        >>> [plain_number(value) for value in (0.9234, 0.99873, 0.00123, 1.0, 12.34, 43210.0, None)]
        ['0.92', '0.9987', '0.0012', '1', '12.3', '43,210', '–']
    """
    if value is None:
        return "–"
    if value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    size = abs(value)
    if size >= 10:
        return f"{value:.1f}" if size < 1000 else f"{value:,.0f}"
    if size < 0.095:
        return f"{value:.2g}"
    if 0.995 <= size < 1:
        return _near_one(value)
    return f"{value:.2f}"


def _near_one(value: float) -> str:
    decimals = 2
    while decimals < 6 and round(1 - abs(value), decimals) < 10 ** (1 - decimals):
        decimals += 1
    return f"{value:.{decimals}f}"
