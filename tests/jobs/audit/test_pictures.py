"""Pictures of an audit and of an event: files that need no other file, whatever is in the texts."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from jobs.audit import drawing, event_picture, over_time
from jobs.audit.audit import Audit
from jobs.audit.comparison import Compared, Comparison, Hour
from jobs.audit.explain import BatchRow, Explanation, Value, Windows
from jobs.audit.find import Arrived
from jobs.audit.ledger import Place
from jobs.audit.rows import Row
from jobs.audit.words import batch_sentence
from schemas import Origin, Prediction, Receipt

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
EVIL = "</td><script>document.title='run'</script>$x_1$&"
HOUR, DAY = 3_600_000, 86_400_000
AT = 1_700_000_000_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def explained() -> Explanation:
    """An event whose every text is hostile, with windows of an hour and of sixty days."""
    receipt = Receipt(Origin(EVIL, 0, 0), "p", EVIL, 1, "s", {}, {}, False, AT, AT + 5, AT + 9, {"profile": "missing"})
    rows = [
        Row(1, AT - 61 * DAY, {EVIL: 1.0, "text": EVIL}, "before"),
        Row(2, AT - 3 * DAY, {EVIL: 2.5, "text": EVIL}, "in"),
        Row(EVIL, AT - HOUR // 2, {EVIL: None, "text": None}, "in"),
        Row(4, AT, {EVIL: 3.0, "text": EVIL}, "in"),
        Row(5, AT + DAY, {EVIL: 3.0, "text": EVIL}, "after"),
    ]
    late = [Arrived(Place("orders", "v", (EVIL,)), Origin("t", 0, 9), 2, AT - 3 * DAY, AT + DAY, 7, 1)]
    values = [
        Value(f"v__{EVIL}_{n}", "stage", f"count of {EVIL}", 1, True, 2, "late_row", window_ms=length, rows=n)
        for n, length in ((1, HOUR), (3, 60 * DAY))
    ]
    values.append(Value("f__x", "f", EVIL, None, False, [1, 2.5], None, inputs={"a": EVIL}))
    return Explanation(
        service=EVIL,
        plan="p",
        event_id=4,
        event_time=AT,
        in_history=True,
        event={"id": 4, "text": EVIL},
        published={"id": 4, "text": "other"},
        headers={"x-request-id": EVIL},
        prediction=Prediction(4, AT, 0.25, receipt),
        complete=True,
        values=values,
        windows=[Windows("stage", "orders", {"key": EVIL}, 60 * DAY, (EVIL, "text"), rows, late)],
        batch=[BatchRow("profile", {"key": EVIL}, None, "missing", AT - DAY, None, DAY, EVIL, "orders")],
    )


@pytest.mark.parametrize("suffix", drawing.KINDS)
def test_an_event_is_drawn_whatever_its_texts_are(suffix: str, tmp_path: Path) -> None:
    """As a page, a drawing and an image; the page and the drawing run nothing and load nothing."""
    out = tmp_path / f"an event{suffix}"
    event_picture.draw(explained(), out)
    if suffix == ".png":
        assert out.read_bytes().startswith(b"\x89PNG")
        return
    text = out.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "late: came after the event had its vector (1)" in text
    svg = text[text.index("<svg") : text.index("</svg>") + len("</svg>")]
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own
    assert "://" not in text.replace("http://www.w3.org/", ""), "it needs another file"


def test_the_page_says_why(tmp_path: Path) -> None:
    """What a value is made of, why it differs, which row came late, and which batch row it should have had."""
    out = tmp_path / "event.html"
    event_picture.draw(explained(), out)
    text = out.read_text()
    for said in (
        "a row of its window came too late",
        "LATE: came 2023-11-15",
        "just out: too old",
        "headers of its record: x-request-id",
        "none was served, as the online store",
    ):
        assert said in text


def test_a_batch_row_that_is_not_to_be_used_has_no_day() -> None:
    """What it was made of is said of a row that was used."""
    row = BatchRow("profile", {"key": 1}, AT - 9 * DAY, "too_old", AT - 9 * DAY, "too_old", DAY, "", "orders")
    said = "batch view profile of key 1: by history none is to be used (too_old); the same was served"
    assert batch_sentence(explained(), row) == said


def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    """Chromium draws it, and runs nothing that its texts hold."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium: apt-get install chromium; without it no browser has opened the page of `headrace explain`")
    out = tmp_path / "event.html"
    event_picture.draw(explained(), out)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([*command, out.as_uri()], capture_output=True, text=True, check=True, timeout=60)
    title = done.stdout.partition("<title>")[2].partition("</title>")[0]
    assert title.startswith("event 4 of service")
    assert done.stdout.count("<svg") == 1
    assert "<script>" not in done.stdout.partition("<body>")[2]


@pytest.mark.parametrize("differing", [0, 3])
def test_an_audit_is_drawn(differing: int, tmp_path: Path) -> None:
    """With a bar for each cause, or the words that no value differs."""
    feature = Compared(EVIL, "stage", values=100, differing=differing)
    feature.causes["late_row"] = differing
    hours = {AT // HOUR * HOUR: Hour(100, {"late_row": differing} if differing else {})}
    found = Comparison(events=10, features=[feature], hours=hours)
    audit = Audit(EVIL, "p", AT - DAY, AT + 400 * DAY, 10, 0, 0, 0, differing, 0, found)
    out = tmp_path / "audit.html"
    over_time.draw(audit, out)
    text = out.read_text()
    assert "<script" not in text
    assert ("late row: 3" in text, "no value differs" in text) == (bool(differing), not differing)


def test_without_the_extra_a_picture_is_one_line_of_advice() -> None:
    """`headrace audit --out` ends with exit code 2 and says what to install; without --out nothing needs it."""
    program = (
        "import sys; sys.modules['matplotlib'] = None; import infra.cli; from infra.cli.app import run; "
        "raise SystemExit(run(['audit', 'fraud', '--out', 'audit.html', '--project', 'examples/fraud']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: a picture needs the extra: pip install 'headrace[plot]' (missing: matplotlib)"]
