"""Write the expected plans anew; look at the difference before you commit it."""

from golden import CASES, as_text, expected_file, outcome

if __name__ == "__main__":
    wanted = {expected_file(case): as_text(outcome(case)) for case in CASES}
    for old in set((CASES[0].parent.parent / "expected").glob("*.json")) - wanted.keys():
        old.unlink()
    for file, text in wanted.items():
        file.write_text(text, encoding="utf-8")
