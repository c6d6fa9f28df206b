# The developer's interface. CI runs .ci/run, which needs no `just`.

# test and lint
default: test lint

# the tests that finish in minutes
test *arguments:
    pytest {{arguments}}

# long proofs: whole crash matrices, soaks, big files
proof:
    pytest -m proof
    TEST_INPUTS=random pytest tests/plan tests/unit

# style, types, layers
lint:
    ruff check
    ruff format --check
    pyright
    lint-imports

# what lint can put right by itself
fix:
    ruff check --fix
    ruff format

# regenerate the pages that are made from the code
docs:
    python docs/make_cli_reference.py

# each benchmark prints ratios
bench:
    for bench in bench/*.py; do python "$bench"; done

# what CI runs
ci:
    .ci/run
