"""The reports of the vendor's suites are read, and their failures sorted by cause."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def suites(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the script."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    import vendor_suites

    for name in ("vendor_suites", "vendor_types"):
        monkeypatch.delitem(sys.modules, name)
    return vendor_suites


JUNIT = """
<testsuite>
  <testcase classname="test_a" name="passes"/>
  <testcase classname="test_a" name="fails">
    <failure message="assert False">test_a.py:3</failure>
    <system-err>#x1B[31mImageId 'mobile_latest' is not #x1B[0moffered</system-err>
  </testcase>
  <testcase classname="test_a" name="breaks"><error message="no fixture"/></testcase>
  <testcase classname="test_a" name="waits"><skipped message="no key"/></testcase>
</testsuite>
"""


def test_a_report_of_pytest_gives_the_outcome_of_each_test(suites: ModuleType):
    """What a test has logged counts as its reason."""
    outcomes = [suites.read_case(case) for case in ElementTree.fromstring(JUNIT)]

    assert [(one.name, one.state, one.cause) for one in outcomes] == [
        ("test_a.passes", "passed", ""),
        ("test_a.fails", "failed", "mobile"),
        ("test_a.breaks", "failed", ""),
        ("test_a.waits", "skipped", ""),
    ]
    assert outcomes[1].summary == "ImageId 'mobile_latest' is not offered"


def test_a_report_of_jest_gives_the_outcome_of_each_test(suites: ModuleType):
    """A file that cannot be loaded is one failure."""
    tests = [
        {"status": "passed", "fullName": "Files read", "failureMessages": []},
        {"status": "failed", "fullName": "Files write", "failureMessages": ["Expected: true"]},
        {"status": "pending", "fullName": "Files move", "failureMessages": []},
    ]
    file = {"name": "/x/files.test.ts", "assertionResults": tests, "message": ""}
    broken = {"name": "/x/oss.test.ts", "assertionResults": [], "message": "cannot be loaded"}

    outcomes = [one for each in (file, broken) for one in suites.read_jest(each)]

    assert [(one.name, one.state, one.cause) for one in outcomes] == [
        ("files.test.ts Files read", "passed", ""),
        ("files.test.ts Files write", "failed", ""),
        ("files.test.ts Files move", "skipped", ""),
        ("oss.test.ts", "failed", "foreign credentials"),
    ]


def test_the_events_of_go_give_the_outcome_of_each_test(suites: ModuleType):
    """The end of a package is not a test; lines of the compiler are not events."""
    events = [
        {"Action": "output", "Test": "TestOne", "Output": "wuyingai.cn-x.aliyuncs.com: no host\n"},
        {"Action": "fail", "Test": "TestOne"},
        {"Action": "pass", "Test": "TestTwo"},
        {"Action": "skip", "Test": "TestThree"},
        {"Action": "fail", "Package": "integration"},
    ]
    report = "\n".join(["# a warning", *map(json.dumps, events)])

    outcomes = list(suites.read_go(report))

    assert [(one.name, one.state, one.cause) for one in outcomes] == [
        ("TestOne", "failed", "a host or a network of the cloud"),
        ("TestTwo", "passed", ""),
        ("TestThree", "skipped", ""),
    ]


def test_a_go_test_that_does_not_end_has_failed(suites: ModuleType):
    """Its process has ended before: by a panic elsewhere, or because it took too long."""
    events = [
        {"Action": "run", "Test": "TestOne"},
        {"Action": "pass", "Test": "TestOne/first"},
        {"Action": "run", "Test": "TestOne/second"},
        {"Action": "output", "Test": "TestOne/second", "Output": "panic: test timed out\n"},
        {"Action": "fail", "Package": "integration"},
    ]

    outcomes = list(suites.read_go("\n".join(map(json.dumps, events))))

    assert [(one.name, one.state) for one in outcomes] == [
        ("TestOne/first", "passed"),
        ("TestOne/second", "failed"),
    ]
    assert outcomes[1].summary == "panic: test timed out"


def test_a_go_test_with_subtests_counts_only_if_it_fails_by_itself(suites: ModuleType):
    """What it prepares is a reason of its subtests too, and one that panics has no subtest."""
    refusal = "\x1b[31mImageId 'mobile_latest' is not \x1b[0moffered\n"
    events = [
        {"Action": "output", "Test": "TestPhone", "Output": refusal},
        {"Action": "fail", "Test": "TestPhone/tap"},
        {"Action": "pass", "Test": "TestPhone/name"},
        {"Action": "fail", "Test": "TestPhone"},
        {"Action": "pass", "Test": "TestFiles/read"},
        {"Action": "output", "Test": "TestFiles", "Output": "cannot clean up\n"},
        {"Action": "fail", "Test": "TestFiles"},
        {"Action": "pass", "Test": "TestCode/run"},
        {"Action": "pass", "Test": "TestCode"},
    ]

    outcomes = list(suites.read_go("\n".join(map(json.dumps, events))))

    assert [(one.name, one.state, one.cause) for one in outcomes] == [
        ("TestPhone/tap", "failed", "mobile"),
        ("TestPhone/name", "passed", ""),
        ("TestFiles/read", "passed", ""),
        ("TestFiles", "failed", ""),
        ("TestCode/run", "passed", ""),
    ]


def test_failures_without_a_known_cause_come_last_and_are_named(suites: ModuleType):
    """They are what a reader has to look at."""
    outcomes = [
        suites.Outcome("test_files.read", "failed", "\nassert 1 == 2\n"),
        suites.Outcome("test_mobile.tap", "failed", "no session"),
        suites.Outcome("test_files.write", "passed"),
    ]

    assert list(suites.describe("python", outcomes, 3.2)) == [
        "python: 1 passed, 2 failed, 0 skipped in 3 s",
        "  1: mobile",
        "    test_mobile.tap: no session",
        "  1: NO KNOWN CAUSE",
        "    test_files.read: assert 1 == 2",
    ]


_PAGE = """
```python
session.command.execute_command("ls")
```

  ```python
  bay = AsyncAgentBay()
  await bay.create()
  ```

```python
def signature(self) -> None
```
"""


def test_programs_and_blocks_of_pages_are_checked(suites: ModuleType, tmp_path: Path):
    """A block that is no statement is left out; one that uses a session gets it."""
    for name, text in {
        "docs/page.md": _PAGE,
        "cookbook/main.py": "from .other import x\nimport agentbay\n",
        "cookbook/other.py": "x = 1\n",
        "python/agentbay/client.py": "import agentbay\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")

    programs = suites.read_programs(tmp_path)

    assert programs == {
        "cookbook/main.py": "\nfrom xother import x\nimport agentbay\n",
        "docs/page.md:1": "from agentbay import Session as _session; session: _session\n"
        'session.command.execute_command("ls")\n',
        "docs/page.md:2": "\nbay = AsyncAgentBay()\nawait bay.create()\n",
    }


def test_a_name_that_only_we_lack_has_no_excuse(suites: ModuleType):
    """One that the client lacks too is the program's affair."""
    missing = '"Browser" has no attribute "paint" [attr-defined]'
    kept = (
        "Incompatible types in assignment (expression has type"
        ' "FileContentResult[str]", variable has type "BoolResult") [assignment]'
    )

    assert suites.explain("a.py", [missing], "def draw(self): ...").startswith("the program itself")
    assert suites.explain("a.py", [missing], "def paint(self): ...") == ""
    assert suites.explain("a.py", [missing, "Too many arguments"], "") == ""
    content = '"BoolResult" has no attribute "content" [attr-defined]'
    assert suites.explain("a.py", [kept, content], "def content").startswith("mypy keeps")
    assert suites.explain("a.py", [content], "def content") == ""


@pytest.mark.slow
def test_the_two_checkers_tell_a_name_that_only_we_lack(suites: ModuleType, tmp_path: Path):
    """What they say with either client is left out."""
    package = tmp_path / "python" / "agentbay"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("class Painter:\n    def paint(self) -> int: ...\n")
    program = "\nfrom agentbay import Painter\nPainter().paint()\nx: int = ''\n"

    found = suites.compare_types({"a.py": program, "b.py": "\n"}, tmp_path, Path(sys.executable))

    assert found["b.py"] == []
    assert [one.partition(":")[0] for one in found["a.py"]] == ["line 1", "line 1"]
    assert all("Painter" in one for one in found["a.py"])
