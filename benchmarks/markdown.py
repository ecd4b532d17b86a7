"""Tables in Markdown, printed row by row, as :mod:`write_page` puts them into the page."""


def print_header(*names: str) -> None:
    """Print the names of the columns."""
    print_row(*names)
    print("|" + "---|" * len(names), flush=True)


def print_row(*cells: object) -> None:
    """Print a row; numbers have three digits, or as many as stand before the point."""
    print("| " + " | ".join(map(_text, cells)) + " |", flush=True)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell)
