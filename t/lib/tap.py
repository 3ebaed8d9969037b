"""Test Anything Protocol for the tests in Python, which prove(1) runs."""
import sys

_count = 0
_failed = 0


def ok(cond, name):
    """One result line; returns the truth of cond so that a test can stop."""
    global _count, _failed
    _count += 1
    _failed += not cond
    print(f"{'' if cond else 'not '}ok {_count} - {name}", flush=True)
    return bool(cond)


def is_(got, want, name):
    """The two are equal; both are shown when they are not."""
    same = ok(got == want, name)
    if not same:
        diag(f" got: {_short(got)}\nwant: {_short(want)}")
    return same


def like(text, part, name):
    """part occurs in text."""
    there = ok(part in text, name)
    if not there:
        diag(f" got: {_short(text)}\nwith: {_short(part)}")
    return there


def between(got, low, high, name):
    """A number lies in a range."""
    there = ok(low <= got <= high, name)
    if not there:
        diag(f"{got} is not from {low} to {high}")
    return there


def skip(name, why):
    """One result line for what cannot be tested here."""
    global _count
    _count += 1
    print(f"ok {_count} - {name} # SKIP {why}", flush=True)


def skip_all(why):
    """The whole file cannot be tested here; ends the process."""
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)


def diag(text):
    """Lines of explanation."""
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


def done():
    """The plan; ends the process with the exit code."""
    print(f"1..{_count}", flush=True)
    sys.exit(1 if _failed else 0)


def _short(value):
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:600]}... ({len(text)})"
